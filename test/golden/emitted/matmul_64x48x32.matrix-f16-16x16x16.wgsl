enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4f>;
var<workgroup> left: array<f16, 1536>;
var<workgroup> right: array<f16, 640>;
var<workgroup> stage: array<f32, 1024>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let once = min(count, 1);
	let o0 = i32(params[0].z) >> 2u;
	let o1 = i32(params[0].w) >> 2u;
	let o2 = i32(params[1].x) >> 2u;
	let row_end = (first + count) * 1 + 0;
	let row_blocks = (count * 1 + 0 + 63) / 64;
	let column_blocks = (count * 0 + 32 + 31) / 32;
	let tiles = row_blocks * column_blocks;
	if (group >= tiles * (count * 0 + 1)) { return; }
	let row_block = (group / column_blocks) % row_blocks;
	let row0 = first * 1 + row_block * 64;
	let s = i32(subgroup);
	let l = i32(lane);
	var acc0: subgroup_matrix_result<f32, 16, 16>;
	var acc1: subgroup_matrix_result<f32, 16, 16>;
	let unit0 = i32(local);
	let j1 = quo(unit0, 4);
	let j2 = rem(unit0, 4);
	let to3 = j1 * 24 + j2 * 4;
	let m4 = min(row0 + j1, row_end - 1);
	let j5 = j1 + 32;
	let to6 = j5 * 24 + j2 * 4;
	let m7 = min(row0 + j1 + 32, row_end - 1);
	let unit8 = i32(local);
	let j9 = quo(unit8, 8);
	let j10 = rem(unit8, 8);
	let to11 = j9 * 40 + j10 * 4;
	let j13 = m4 * 12 + j2 - o0;
	let j15 = m7 * 12 + j2 - o0;
	let j17 = j9 * 8 + j10 - o1;
	for (var kt12 = 0; kt12 < 3 * once; kt12 += 1) {
		let v14 = b0[j13 + kt12 * 4];
		left[to3] = f16(v14.x); left[to3 + 1] = f16(v14.y); left[to3 + 2] = f16(v14.z); left[to3 + 3] = f16(v14.w);
		let v16 = b0[j15 + kt12 * 4];
		left[to6] = f16(v16.x); left[to6 + 1] = f16(v16.y); left[to6 + 2] = f16(v16.z); left[to6 + 3] = f16(v16.w);
		let v18 = b1[j17 + kt12 * 128];
		right[to11] = f16(v18.x); right[to11 + 1] = f16(v18.y); right[to11 + 2] = f16(v18.z); right[to11 + 3] = f16(v18.w);
		workgroupBarrier();
		for (var ks = 0; ks < 1; ks += 1) {
			let left0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&left, u32(s * 384), 24u);
			let right0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&right, u32(0), 40u);
			acc0 = subgroupMatrixMultiplyAccumulate(left0, right0, acc0);
			let right1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&right, u32(16), 40u);
			acc1 = subgroupMatrixMultiplyAccumulate(left0, right1, acc1);
		}
		workgroupBarrier();
	}
	let j19 = s * 256;
	let j22 = s * 16;
	let j29 = o2 * (-1);
	for (var n = 0; n < 2; n += 1) {
		if (n == 0) {
			subgroupMatrixStore<row_major>(&stage, u32(j19), acc0, 16u);
		}
		if (n == 1) {
			subgroupMatrixStore<row_major>(&stage, u32(j19), acc1, 16u);
		}
		workgroupBarrier();
		let j24 = n * 4;
		for (var p = 0; p < 64; p += 32) {
			let q20 = p + l;
			let j23 = quo(q20, 4);
			let m21 = min(row0 + j22 + j23, row_end - 1);
			let j25 = rem(q20, 4);
			let j26 = j24 + j25;
			let from27 = j19 + q20 * 4;
			let v28 = vec4f(stage[from27 + 0], stage[from27 + 1], stage[from27 + 2], stage[from27 + 3]);
			if (row0 + j22 + j23 < row_end) {
				b2[j29 + m21 * 8 + j26] = v28;
			}
		}
		workgroupBarrier();
	}
}
