@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
var<workgroup> left: array<vec4f, 16>;
var<workgroup> right: array<vec4f, 24>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
fn left_at(m: i32, k: i32, o0: i32) -> f32 {
	let in0 = k < 7;
	var v1 = 0.0f;
	if (in0) {
		let v2 = b0[m * 7 + k - o0];
		v1 = v2;
	}
	return v1;
}
fn right_at(m: i32, k: i32, o1: i32) -> f32 {
	let in0 = k < 7;
	var v1 = 0.0f;
	if (in0) {
		let v2 = b1[k * 9 + m - o1];
		v1 = v2;
	}
	return v1;
}
@compute @workgroup_size(6)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let once = min(count, 1);
	let o0 = i32(params[0].z);
	let o1 = i32(params[0].w);
	let o2 = i32(params[1].x);
	let o3 = i32(params[1].y);
	let row_end = (first + count) * 1 + 0;
	let row_blocks = (count * 1 + 0 + 7) / 8;
	let column_end = (first + count) * 0 + 9;
	let column_blocks = (count * 0 + 9 + 11) / 12;
	let tiles = row_blocks * column_blocks;
	if (group >= tiles * (count * 0 + 1)) { return; }
	let row_block = (group / column_blocks) % row_blocks;
	let row0 = first * 1 + row_block * 8;
	let column0 = 0;
	let tx = i32(local % 3u);
	let ty = i32(local / 3u);
	var sum: array<vec4f, 4>;
	let unit0 = i32(local) + 0;
	let q1 = 0;
	let unit3 = i32(local) + 6;
	let j4 = quo(unit3, 8);
	let j6 = rem(unit3, 8);
	let unit8 = i32(local) + 12;
	let j9 = quo(unit8, 8);
	let j11 = rem(unit8, 8);
	let unit13 = i32(local) + 0;
	let j14 = rem(unit13, 3);
	let j16 = quo(unit13, 3);
	let unit18 = i32(local) + 6;
	let j19 = rem(unit18, 3);
	let j21 = quo(unit18, 3);
	let unit23 = i32(local) + 12;
	let j24 = rem(unit23, 3);
	let j26 = quo(unit23, 3);
	let unit28 = i32(local) + 18;
	let j29 = rem(unit28, 3);
	let j31 = quo(unit28, 3);
	var acc0 = vec4f(); var acc1 = vec4f(); var acc2 = vec4f(); var acc3 = vec4f();
	var v33 = vec4f();
	for (var c34 = 0; c34 < 4 * once; c34 += 1) {
		let q35 = min(row0 + q1 * 4 + c34, row_end - 1);
		v33[c34] = left_at(q35, unit0, o0);
	}
	left[unit0 * 2 + 0] = v33;
	var v36 = vec4f();
	for (var c37 = 0; c37 < 4 * once; c37 += 1) {
		let q38 = min(row0 + j4 * 4 + c37, row_end - 1);
		v36[c37] = left_at(q38, j6, o0);
	}
	left[j6 * 2 + j4] = v36;
	if (unit8 < 16) {
		var v39 = vec4f();
		for (var c40 = 0; c40 < 4 * once; c40 += 1) {
			let q41 = min(row0 + j9 * 4 + c40, row_end - 1);
			v39[c40] = left_at(q41, j11, o0);
		}
		left[j11 * 2 + j9] = v39;
	}
	var v42 = vec4f();
	for (var c43 = 0; c43 < 4 * once; c43 += 1) {
		let q44 = min(column0 + j14 * 4 + c43, column_end - 1);
		v42[c43] = right_at(q44, j16, o1);
	}
	right[j16 * 3 + j14] = v42;
	var v45 = vec4f();
	for (var c46 = 0; c46 < 4 * once; c46 += 1) {
		let q47 = min(column0 + j19 * 4 + c46, column_end - 1);
		v45[c46] = right_at(q47, j21, o1);
	}
	right[j21 * 3 + j19] = v45;
	var v48 = vec4f();
	for (var c49 = 0; c49 < 4 * once; c49 += 1) {
		let q50 = min(column0 + j24 * 4 + c49, column_end - 1);
		v48[c49] = right_at(q50, j26, o1);
	}
	right[j26 * 3 + j24] = v48;
	var v51 = vec4f();
	for (var c52 = 0; c52 < 4 * once; c52 += 1) {
		let q53 = min(column0 + j29 * 4 + c52, column_end - 1);
		v51[c52] = right_at(q53, j31, o1);
	}
	right[j31 * 3 + j29] = v51;
	workgroupBarrier();
	for (var s = 0; s < 7 * once; s += 1) {
		let b = right[s * 3 + tx];
		let a0 = left[s * 2 + ty * 1 + 0];
		acc0 = fma(vec4f(a0.x), b, acc0);
		acc1 = fma(vec4f(a0.y), b, acc1);
		acc2 = fma(vec4f(a0.z), b, acc2);
		acc3 = fma(vec4f(a0.w), b, acc3);
	}
	workgroupBarrier();
	sum[0] = acc0; sum[1] = acc1; sum[2] = acc2; sum[3] = acc3;
	let j55 = ty * 4;
	let j60 = o3 * (-1);
	let j62 = o2 * (-1);
	for (var r = 0; r < 4; r += 1) {
		let m54 = min(row0 + j55 + r, row_end - 1);
		let q56 = min(column0 + tx * 4 + 0, column_end - 1);
		let q57 = min(column0 + tx * 4 + 1, column_end - 1);
		let q58 = min(column0 + tx * 4 + 2, column_end - 1);
		let q59 = min(column0 + tx * 4 + 3, column_end - 1);
		let v61 = b3[j60 + q56];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 0 < column_end) {
			b2[j62 + m54 * 9 + q56] = (sum[r].x + v61);
		}
		let v63 = b3[j60 + q57];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 1 < column_end) {
			b2[j62 + m54 * 9 + q57] = (sum[r].y + v63);
		}
		let v64 = b3[j60 + q58];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 2 < column_end) {
			b2[j62 + m54 * 9 + q58] = (sum[r].z + v64);
		}
		let v65 = b3[j60 + q59];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 3 < column_end) {
			b2[j62 + m54 * 9 + q59] = (sum[r].w + v65);
		}
	}
}
