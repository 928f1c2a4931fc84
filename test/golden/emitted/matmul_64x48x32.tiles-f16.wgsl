enable f16;
@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4f>;
var<workgroup> left: array<vec4<f16>, 256>;
var<workgroup> right: array<vec4<f16>, 128>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
fn left_at(m: i32, k: i32, o0: i32) -> f32 {
	let v0 = b0[m * 48 + k - o0];
	return v0;
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let once = min(count, 1);
	let o0 = i32(params[0].z);
	let o1 = i32(params[0].w) >> 2u;
	let o2 = i32(params[1].x) >> 2u;
	let row_end = (first + count) * 1 + 0;
	let row_blocks = (count * 1 + 0 + 63) / 64;
	let column_blocks = (count * 0 + 32 + 31) / 32;
	let tiles = row_blocks * column_blocks;
	if (group >= tiles * (count * 0 + 1)) { return; }
	let row_block = (group / column_blocks) % row_blocks;
	let row0 = first * 1 + row_block * 64;
	let tx = i32(local % 8u);
	let ty = i32(local / 8u);
	var sum: array<vec4f, 4>;
	let unit0 = i32(local) + 0;
	let j1 = quo(unit0, 16);
	let j3 = rem(unit0, 16);
	let unit5 = i32(local) + 128;
	let j6 = quo(unit5, 16);
	let j8 = rem(unit5, 16);
	let unit10 = i32(local) + 0;
	let j11 = rem(unit10, 8);
	let j13 = quo(unit10, 8);
	var acc0 = vec4f(); var acc1 = vec4f(); var acc2 = vec4f(); var acc3 = vec4f();
	let j24 = j13 * 8 + j11 - o1;
	for (var kt15 = 0; kt15 < 3 * once; kt15 += 1) {
		var v16 = vec4f();
		let j19 = j3 + kt15 * 16;
		for (var c17 = 0; c17 < 4 * once; c17 += 1) {
			let q18 = min(row0 + j1 * 4 + c17, row_end - 1);
			v16[c17] = left_at(q18, j19, o0);
		}
		left[j3 * 16 + j1] = vec4<f16>(v16);
		var v20 = vec4f();
		let j23 = j8 + kt15 * 16;
		for (var c21 = 0; c21 < 4 * once; c21 += 1) {
			let q22 = min(row0 + j6 * 4 + c21, row_end - 1);
			v20[c21] = left_at(q22, j23, o0);
		}
		left[j8 * 16 + j6] = vec4<f16>(v20);
		let v25 = b1[j24 + kt15 * 128];
		right[j13 * 8 + j11] = vec4<f16>(v25);
		workgroupBarrier();
		for (var s = 0; s < 16 * once; s += 1) {
			let b = vec4f(right[s * 8 + tx]);
			let a0 = vec4f(left[s * 16 + ty * 1 + 0]);
			acc0 = fma(vec4f(a0.x), b, acc0);
			acc1 = fma(vec4f(a0.y), b, acc1);
			acc2 = fma(vec4f(a0.z), b, acc2);
			acc3 = fma(vec4f(a0.w), b, acc3);
		}
		workgroupBarrier();
	}
	sum[0] = acc0; sum[1] = acc1; sum[2] = acc2; sum[3] = acc3;
	let j27 = ty * 4;
	let j29 = tx - o2;
	for (var r = 0; r < 4; r += 1) {
		let m26 = min(row0 + j27 + r, row_end - 1);
		let v28 = sum[r];
		if (row0 + ty * 4 + r < row_end) {
			b2[j29 + m26 * 8] = v28;
		}
	}
}
