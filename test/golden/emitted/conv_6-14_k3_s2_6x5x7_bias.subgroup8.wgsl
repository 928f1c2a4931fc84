enable subgroups;
@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32, @builtin(subgroup_invocation_id) lane: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let once = min(count, 1);
	let o0 = i32(params[0].z);
	let o1 = i32(params[0].w);
	let o2 = i32(params[1].x);
	let o3 = i32(params[1].y);
	let row_end = (first + count) * 12 + 0;
	let row_blocks = (count * 12 + 0 + 15) / 16;
	let column_end = (first + count) * 0 + 14;
	let column_blocks = (count * 0 + 14 + 15) / 16;
	let tiles = row_blocks * column_blocks;
	if (group >= tiles * (count * 0 + 1)) { return; }
	let column_block = group % column_blocks;
	let row_block = (group / column_blocks) % row_blocks;
	let row0 = first * 12 + row_block * 16;
	let column0 = first * 0 + column_block * 16;
	let l = i32(lane);
	let m0 = min(row0 + l, row_end - 1);
	let m1 = min(row0 + l + 8, row_end - 1);
	let n2 = min(column0 + l, column_end - 1);
	let n3 = min(column0 + l + 8, column_end - 1);
	var sum0: array<vec2f, 16>;
	let j8 = quo(m0, 12);
	let j9 = j8 * 2;
	let j12 = quo(m0, 4);
	let j13 = rem(j12, 3);
	let j14 = j13 * 2;
	let j17 = rem(m0, 4);
	let j18 = j17 * 2;
	let j23 = j8 * 420 + j13 * 84 + j17 * 12 - o0;
	let j28 = quo(m1, 12);
	let j29 = j28 * 2;
	let j32 = quo(m1, 4);
	let j33 = rem(j32, 3);
	let j34 = j33 * 2;
	let j37 = rem(m1, 4);
	let j38 = j37 * 2;
	let j43 = j28 * 420 + j33 * 84 + j37 * 12 - o0;
	let j48 = n2 - o1;
	let j53 = n3 - o1;
	for (var k4 = 0; k4 < 3 * once; k4 += 1) {
		let j10 = j9 + k4 - 1;
		let in11 = j10 >= 0;
		let j24 = j23 + k4 * 210;
		let j30 = j29 + k4 - 1;
		let in31 = j30 >= 0;
		let j44 = j43 + k4 * 210;
		let j49 = j48 + k4 * 756;
		let j54 = j53 + k4 * 756;
		for (var k5 = 0; k5 < 3 * once; k5 += 1) {
			let j15 = j14 + k5 - 1;
			let in16 = j15 >= 0 && j15 < 5;
			let j25 = j24 + k5 * 42;
			let j35 = j34 + k5 - 1;
			let in36 = j35 >= 0 && j35 < 5;
			let j45 = j44 + k5 * 42;
			let j50 = j49 + k5 * 252;
			let j55 = j54 + k5 * 252;
			 {
				var a0 = vec2f(); var a1 = vec2f(); var a2 = vec2f(); var a3 = vec2f();
				var a4 = vec2f(); var a5 = vec2f(); var a6 = vec2f(); var a7 = vec2f();
				var a8 = vec2f(); var a9 = vec2f(); var a10 = vec2f(); var a11 = vec2f();
				var a12 = vec2f(); var a13 = vec2f(); var a14 = vec2f(); var a15 = vec2f();
				for (var k6 = 0; k6 < 3 * once; k6 += 1) {
					let j19 = j18 + k6 - 1;
					let in20 = j19 >= 0 && j19 < 7;
					let in21 = in11 && in16 && in20;
					let j26 = j25 + k6 * 6;
					let j39 = j38 + k6 - 1;
					let in40 = j39 >= 0 && j39 < 7;
					let in41 = in31 && in36 && in40;
					let j46 = j45 + k6 * 6;
					let j51 = j50 + k6 * 84;
					let j56 = j55 + k6 * 84;
					for (var k7 = 0; k7 < 6 * once; k7 += 1) {
						var v22 = 0.0f;
						if (in21) {
							let v27 = b0[j26 + k7 - 258];
							v22 = v27;
						}
						var v42 = 0.0f;
						if (in41) {
							let v47 = b0[j46 + k7 - 258];
							v42 = v47;
						}
						let v52 = b1[j51 + k7 * 14];
						let v57 = b1[j56 + k7 * 14];
						let b58 = vec2f(v52, v57);
						a0 = fma(vec2f(subgroupBroadcast(v22, 0u)), b58, a0);
						a1 = fma(vec2f(subgroupBroadcast(v22, 1u)), b58, a1);
						a2 = fma(vec2f(subgroupBroadcast(v22, 2u)), b58, a2);
						a3 = fma(vec2f(subgroupBroadcast(v22, 3u)), b58, a3);
						a4 = fma(vec2f(subgroupBroadcast(v22, 4u)), b58, a4);
						a5 = fma(vec2f(subgroupBroadcast(v22, 5u)), b58, a5);
						a6 = fma(vec2f(subgroupBroadcast(v22, 6u)), b58, a6);
						a7 = fma(vec2f(subgroupBroadcast(v22, 7u)), b58, a7);
						a8 = fma(vec2f(subgroupBroadcast(v42, 0u)), b58, a8);
						a9 = fma(vec2f(subgroupBroadcast(v42, 1u)), b58, a9);
						a10 = fma(vec2f(subgroupBroadcast(v42, 2u)), b58, a10);
						a11 = fma(vec2f(subgroupBroadcast(v42, 3u)), b58, a11);
						a12 = fma(vec2f(subgroupBroadcast(v42, 4u)), b58, a12);
						a13 = fma(vec2f(subgroupBroadcast(v42, 5u)), b58, a13);
						a14 = fma(vec2f(subgroupBroadcast(v42, 6u)), b58, a14);
						a15 = fma(vec2f(subgroupBroadcast(v42, 7u)), b58, a15);
					}
				}
				sum0[0] += a0; sum0[1] += a1; sum0[2] += a2; sum0[3] += a3; sum0[4] += a4; sum0[5] += a5;
				sum0[6] += a6; sum0[7] += a7; sum0[8] += a8; sum0[9] += a9; sum0[10] += a10; sum0[11] += a11;
				sum0[12] += a12; sum0[13] += a13; sum0[14] += a14; sum0[15] += a15;
			}
		}
	}
	let v61 = b3[n2 - o3];
	let v62 = b3[n3 - o3];
	let j63 = n2 - o2;
	let j64 = n3 - o2;
	for (var r59 = 0; r59 < 16 * once; r59 += 1) {
		let m60 = min(row0 + r59, row_end - 1);
		if (row0 + r59 < row_end) {
			if (column0 + l + 0 < column_end) {
				b2[j63 + m60 * 14] = (sum0[r59].x + v61);
			}
			if (column0 + l + 8 < column_end) {
				b2[j64 + m60 * 14] = (sum0[r59].y + v62);
			}
		}
	}
}
