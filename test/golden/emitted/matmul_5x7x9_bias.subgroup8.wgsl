enable subgroups;
@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
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
	let row_end = (first + count) * 1 + 0;
	let row_blocks = (count * 1 + 0 + 7) / 8;
	let column_end = (first + count) * 0 + 9;
	let column_blocks = (count * 0 + 9 + 15) / 16;
	let tiles = row_blocks * column_blocks;
	if (group >= tiles * (count * 0 + 1)) { return; }
	let column_block = group % column_blocks;
	let row_block = (group / column_blocks) % row_blocks;
	let row0 = first * 1 + row_block * 8;
	let column0 = first * 0 + column_block * 16;
	let l = i32(lane);
	let m0 = min(row0 + l, row_end - 1);
	let n1 = min(column0 + l, column_end - 1);
	let n2 = min(column0 + l + 8, column_end - 1);
	var sum0: array<vec2f, 8>;
	let j4 = m0 * 7 - o0;
	let j6 = n1 - o1;
	let j8 = n2 - o1;
	 {
		var a0 = vec2f(); var a1 = vec2f(); var a2 = vec2f(); var a3 = vec2f();
		var a4 = vec2f(); var a5 = vec2f(); var a6 = vec2f(); var a7 = vec2f();
		for (var k3 = 0; k3 < 7 * once; k3 += 1) {
			let v5 = b0[j4 + k3];
			let v7 = b1[j6 + k3 * 9];
			let v9 = b1[j8 + k3 * 9];
			let b10 = vec2f(v7, v9);
			a0 = fma(vec2f(subgroupBroadcast(v5, 0u)), b10, a0);
			a1 = fma(vec2f(subgroupBroadcast(v5, 1u)), b10, a1);
			a2 = fma(vec2f(subgroupBroadcast(v5, 2u)), b10, a2);
			a3 = fma(vec2f(subgroupBroadcast(v5, 3u)), b10, a3);
			a4 = fma(vec2f(subgroupBroadcast(v5, 4u)), b10, a4);
			a5 = fma(vec2f(subgroupBroadcast(v5, 5u)), b10, a5);
			a6 = fma(vec2f(subgroupBroadcast(v5, 6u)), b10, a6);
			a7 = fma(vec2f(subgroupBroadcast(v5, 7u)), b10, a7);
		}
		sum0[0] += a0; sum0[1] += a1; sum0[2] += a2; sum0[3] += a3; sum0[4] += a4; sum0[5] += a5;
		sum0[6] += a6; sum0[7] += a7;
	}
	let v13 = b3[n1 - o3];
	let v14 = b3[n2 - o3];
	let j15 = n1 - o2;
	let j16 = n2 - o2;
	for (var r11 = 0; r11 < 8 * once; r11 += 1) {
		let m12 = min(row0 + r11, row_end - 1);
		if (row0 + r11 < row_end) {
			if (column0 + l + 0 < column_end) {
				b2[j15 + m12 * 9] = (sum0[r11].x + v13);
			}
			if (column0 + l + 8 < column_end) {
				b2[j16 + m12 * 9] = (sum0[r11].y + v14);
			}
		}
	}
}
