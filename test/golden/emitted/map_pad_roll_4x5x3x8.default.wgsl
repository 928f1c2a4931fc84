@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4f>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let o0 = i32(params[0].z) >> 2u;
	let o1 = i32(params[0].w) >> 2u;
	let o2 = i32(params[1].x) >> 2u;
	let local_t = group * 64 + i32(local);
	if (local_t >= count * 192 / 4) { return; }
	let t = first * 48 + local_t;
	let j0 = t * 4;
	let j1 = quo(j0, 24);
	let j2 = rem(j1, 8);
	let j3 = j2 - 1;
	let in4 = j3 >= 0 && j3 < 5;
	var v5 = vec4f(0.0f);
	let j6 = quo(j0, 192);
	let j7 = j6 + 2;
	let j8 = rem(j7, 4);
	let j9 = quo(j0, 8);
	let j10 = rem(j9, 3);
	let j11 = rem(j0, 8);
	let j12 = quo(j11, 4);
	if (in4) {
		let v13 = b0[j8 * 30 + j2 * 6 + j10 * 2 + j12 - o0 - 6];
		let v14 = b1[j12 - o1];
		v5 = (v13 * v14);
	}
	b2[t - o2] = v5;
}
