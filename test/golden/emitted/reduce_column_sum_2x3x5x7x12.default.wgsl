@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> b1: array<vec4f>;
var<workgroup> partial: array<vec4f, 96>;
fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }
fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }
@compute @workgroup_size(96)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let o0 = i32(params[0].z) >> 2u;
	let o1 = i32(params[0].w) >> 2u;
	let tx = i32(local % 6u);
	let ty = i32(local / 6u);
	let local_o = group * 6 + tx;
	let o = first * 12 / 4 + min(local_o, count * 12 / 4 - 1);
	var acc = vec4f();
	let j0 = o * 4;
	let j1 = quo(j0, 12);
	let j2 = rem(j0, 12);
	let j3 = quo(j2, 4);
	let j4 = j1 * 315 + j3 - o0;
	for (var r = ty; r < 105; r += 16) {
		let v5 = b0[j4 + r * 3];
		acc = acc + v5;
	}
	partial[local] = acc;
	for (var half = 8; half > 0; half /= 2) {
		workgroupBarrier();
		if (ty < half) {
			partial[local] = partial[local] + partial[local + u32(half) * 6u];
		}
	}
	if (ty == 0 && local_o < count * 12 / 4) {
		let acc6 = partial[local];
		b1[o - o1] = acc6;
	}
}
