@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
var<workgroup> left: array<vec4f, 256>;
var<workgroup> right: array<vec4f, 64>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
fn left_at(m: i32, k: i32, k29: i32, k30: i32, o0: i32) -> f32 {
	let in0 = k < 18;
	let j1 = quo(m, 12);
	let j2 = j1 * 2 + k29 - 1;
	let in3 = j2 >= 0;
	let j4 = quo(m, 4);
	let j5 = rem(j4, 3);
	let j6 = j5 * 2 + k30 - 1;
	let in7 = j6 >= 0 && j6 < 5;
	let j8 = rem(m, 4);
	let j9 = quo(k, 6);
	let j10 = j8 * 2 + j9 - 1;
	let in11 = j10 >= 0 && j10 < 7;
	let in12 = in0 && in3 && in7 && in11;
	var v13 = 0.0f;
	if (in12) {
		let v14 = b0[j1 * 420 + k29 * 210 + j5 * 84 + k30 * 42 + j8 * 12 + k - o0 - 258];
		v13 = v14;
	}
	return v13;
}
fn right_at(m: i32, k: i32, k29: i32, k30: i32, o1: i32) -> f32 {
	let in0 = k < 18;
	let j1 = quo(k, 6);
	let in2 = j1 < 3;
	let in3 = in0 && in2;
	var v4 = 0.0f;
	if (in3) {
		let v5 = b1[k29 * 756 + k30 * 252 + k * 14 + m - o1];
		v4 = v5;
	}
	return v4;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let once = min(count, 1);
	let o0 = i32(params[0].z);
	let o1 = i32(params[0].w);
	let o2 = i32(params[1].x);
	let o3 = i32(params[1].y);
	let row_end = (first + count) * 12 + 0;
	let row_blocks = (count * 12 + 0 + 63) / 64;
	let column_end = (first + count) * 0 + 14;
	let column_blocks = (count * 0 + 14 + 15) / 16;
	let tiles = row_blocks * column_blocks;
	if (group >= tiles * (count * 0 + 1)) { return; }
	let row_block = (group / column_blocks) % row_blocks;
	let row0 = first * 12 + row_block * 64;
	let column0 = 0;
	let tx = i32(local % 4u);
	let ty = i32(local / 4u);
	var sum: array<vec4f, 4>;
	let unit0 = i32(local) + 0;
	let j1 = quo(unit0, 16);
	let q3 = min(row0 / 4 + j1, row_end / 4 - 1);
	let j4 = rem(unit0, 16);
	let unit6 = i32(local) + 64;
	let j7 = quo(unit6, 16);
	let q9 = min(row0 / 4 + j7, row_end / 4 - 1);
	let j10 = rem(unit6, 16);
	let unit12 = i32(local) + 128;
	let j13 = quo(unit12, 16);
	let q15 = min(row0 / 4 + j13, row_end / 4 - 1);
	let j16 = rem(unit12, 16);
	let unit18 = i32(local) + 192;
	let j19 = quo(unit18, 16);
	let q21 = min(row0 / 4 + j19, row_end / 4 - 1);
	let j22 = rem(unit18, 16);
	let unit24 = i32(local) + 0;
	let j25 = rem(unit24, 4);
	let j27 = quo(unit24, 4);
	let j34 = q3 * 4;
	let j38 = q9 * 4;
	let j42 = q15 * 4;
	let j46 = q21 * 4;
	for (var k29 = 0; k29 < 3 * once; k29 += 1) {
		for (var k30 = 0; k30 < 3 * once; k30 += 1) {
			var acc0 = vec4f(); var acc1 = vec4f(); var acc2 = vec4f(); var acc3 = vec4f();
			for (var kt31 = 0; kt31 < 2 * once; kt31 += 1) {
				var v32 = vec4f();
				let j35 = j4 + kt31 * 16;
				for (var c33 = 0; c33 < 4 * once; c33 += 1) {
					v32[c33] = left_at(j34 + c33, j35, k29, k30, o0);
				}
				left[j4 * 16 + j1] = v32;
				var v36 = vec4f();
				let j39 = j10 + kt31 * 16;
				for (var c37 = 0; c37 < 4 * once; c37 += 1) {
					v36[c37] = left_at(j38 + c37, j39, k29, k30, o0);
				}
				left[j10 * 16 + j7] = v36;
				var v40 = vec4f();
				let j43 = j16 + kt31 * 16;
				for (var c41 = 0; c41 < 4 * once; c41 += 1) {
					v40[c41] = left_at(j42 + c41, j43, k29, k30, o0);
				}
				left[j16 * 16 + j13] = v40;
				var v44 = vec4f();
				let j47 = j22 + kt31 * 16;
				for (var c45 = 0; c45 < 4 * once; c45 += 1) {
					v44[c45] = left_at(j46 + c45, j47, k29, k30, o0);
				}
				left[j22 * 16 + j19] = v44;
				var v48 = vec4f();
				let j51 = j27 + kt31 * 16;
				for (var c49 = 0; c49 < 4 * once; c49 += 1) {
					let q50 = min(column0 + j25 * 4 + c49, column_end - 1);
					v48[c49] = right_at(q50, j51, k29, k30, o1);
				}
				right[j27 * 4 + j25] = v48;
				workgroupBarrier();
				for (var s = 0; s < 16 * once; s += 1) {
					let b = right[s * 4 + tx];
					let a0 = left[s * 16 + ty * 1 + 0];
					acc0 = fma(vec4f(a0.x), b, acc0);
					acc1 = fma(vec4f(a0.y), b, acc1);
					acc2 = fma(vec4f(a0.z), b, acc2);
					acc3 = fma(vec4f(a0.w), b, acc3);
				}
				workgroupBarrier();
			}
			sum[0] += acc0; sum[1] += acc1; sum[2] += acc2; sum[3] += acc3;
		}
	}
	let j53 = ty * 4;
	let j58 = o3 * (-1);
	let j60 = o2 * (-1);
	for (var r = 0; r < 4; r += 1) {
		let m52 = min(row0 + j53 + r, row_end - 1);
		let q54 = min(column0 + tx * 4 + 0, column_end - 1);
		let q55 = min(column0 + tx * 4 + 1, column_end - 1);
		let q56 = min(column0 + tx * 4 + 2, column_end - 1);
		let q57 = min(column0 + tx * 4 + 3, column_end - 1);
		let v59 = b3[j58 + q54];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 0 < column_end) {
			b2[j60 + m52 * 14 + q54] = (sum[r].x + v59);
		}
		let v61 = b3[j58 + q55];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 1 < column_end) {
			b2[j60 + m52 * 14 + q55] = (sum[r].y + v61);
		}
		let v62 = b3[j58 + q56];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 2 < column_end) {
			b2[j60 + m52 * 14 + q56] = (sum[r].z + v62);
		}
		let v63 = b3[j58 + q57];
		if (row0 + ty * 4 + r < row_end && column0 + tx * 4 + 3 < column_end) {
			b2[j60 + m52 * 14 + q57] = (sum[r].w + v63);
		}
	}
}
