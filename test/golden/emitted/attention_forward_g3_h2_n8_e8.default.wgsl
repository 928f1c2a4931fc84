@group(0) @binding(0) var<uniform> params: array<vec4u, 4>;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<i32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
@group(0) @binding(5) var<storage, read_write> b4: array<f32>;
var<workgroup> row_q: array<f32, 64>;
var<workgroup> scores: array<f32, 64>;
var<workgroup> sums: array<f32, 256>;
var<workgroup> partial: array<f32, 64>;
var<workgroup> row_sum: array<f32, 8>;
fn inf_f32() -> f32 {
	var bits = 0x7f800000u;
	return bitcast<f32>(bits);
}
fn isnan_f32(x: f32) -> bool {
	return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}
fn nan_f32() -> f32 {
	var bits = 0x7fc00000u;
	return bitcast<f32>(bits);
}
fn log_f32(x: f32) -> f32 {
	let t0 = x < 1.1754944e-38f;
	let t1 = x * 8388608.0f;
	let t2 = select(x, t1, t0);
	let t3 = bitcast<i32>(t2);
	let t4 = t3 + 4913933i;
	let t5 = t4 >> 23u;
	let t6 = t5 - 127i;
	let t7 = f32(t6);
	let t8 = select(0.0f, 23.0f, t0);
	let t9 = t7 - t8;
	let t10 = t4 & 8388607i;
	let t11 = t10 + 1060439283i;
	let t12 = bitcast<f32>(t11);
	let t13 = t12 - 1.0f;
	let t14 = t13 + 2.0f;
	let t15 = t13 / t14;
	let t16 = t15 * t15;
	let t17 = 0.22222222f * t16;
	let t18 = t17 + 0.2857143f;
	let t19 = t18 * t16;
	let t20 = t19 + 0.4f;
	let t21 = t20 * t16;
	let t22 = t21 + 0.6666667f;
	let t23 = t16 * t22;
	let t24 = t13 * t13;
	let t25 = t24 * 0.5f;
	let t26 = t25 + t23;
	let t27 = t15 * t26;
	let t28 = t9 * 0.0000014286068f;
	let t29 = t27 + t28;
	let t30 = t9 * 0.69314575f;
	let t31 = t25 - t29;
	let t32 = t13 - t31;
	let t33 = t30 + t32;
	let t34 = x < f32(inf_f32());
	let t35 = select(x, t33, t34);
	let t36 = x < 0.0f;
	let t37 = x == 0.0f;
	let t38 = 0.0f - f32(inf_f32());
	let t39 = select(t35, t38, t37);
	let t40 = select(t39, f32(nan_f32()), t36);
	return t40;
}
fn max_f32(a: f32, b: f32) -> f32 {
	return select(select(max(a, b), b, isnan_f32(b)), a, isnan_f32(a));
}
fn exp_f32(x: f32) -> f32 {
	let t0 = max(x, (-104.0f));
	let t1 = min(t0, 89.0f);
	let t2 = t1 * 1.442695f;
	let t3 = round(t2);
	let t4 = t3 * 0.69314575f;
	let t5 = t1 - t4;
	let t6 = t3 * 0.0000014286068f;
	let t7 = t5 - t6;
	let t8 = 0.0013950807f * t7;
	let t9 = t8 + 0.008369073f;
	let t10 = t9 * t7;
	let t11 = t10 + 0.041666202f;
	let t12 = t11 * t7;
	let t13 = t12 + 0.16666517f;
	let t14 = t13 * t7;
	let t15 = t14 + 0.5f;
	let t16 = i32(t3);
	let t17 = t7 * t7;
	let t18 = t17 * t15;
	let t19 = t18 + t7;
	let t20 = t19 + 1.0f;
	let t21 = t16 >> 1u;
	let t22 = t21 + 127i;
	let t23 = t22 << 23u;
	let t24 = bitcast<f32>(t23);
	let t25 = t20 * t24;
	let t26 = t16 - t21;
	let t27 = t26 + 127i;
	let t28 = t27 << 23u;
	let t29 = bitcast<f32>(t28);
	let t30 = t25 * t29;
	return select(t30, x, isnan_f32(x));
}
fn prob_f32(x: f32) -> f32 {
	let small = x < -80.0f;
	return select(exp_f32(select(x, -80.0f, small)), 0.0f, small);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
	let group = i32(wg.y * 65535u + wg.x);
	let first = i32(params[0].x);
	let count = i32(params[0].y);
	let once = min(count, 1);
	let o0 = i32(params[0].z);
	let o3 = i32(params[1].y);
	let o4 = i32(params[1].z);
	_ = &b1;
	_ = &b2;
	if (group >= count * 2) { return; }
	let t = i32(local);
	let g = first + group / 2;
	let h = (group / 1) % 2;
	let row0 = (group % 1) * 8;
	let j2 = g * 384 + h * 8 - o0;
	for (var x = t; x < 64; x += 64) {
		let r0 = row0 + x / 8;
		let c1 = x % 8;
		let v3 = b0[j2 + r0 * 48 + c1];
		row_q[x] = v3;
	}
	workgroupBarrier();
	for (var n = t; n < 8; n += 64) {
		var s0 = 0.0f;
		var s1 = 0.0f;
		var s2 = 0.0f;
		var s3 = 0.0f;
		var s4 = 0.0f;
		var s5 = 0.0f;
		var s6 = 0.0f;
		var s7 = 0.0f;
		let j5 = j2 + n * 48;
		for (var c4 = 0; c4 < 8 * once; c4 += 1) {
			let v6 = b0[j5 + c4 + 16];
			s0 = fma(row_q[0 + c4], v6, s0);
			s1 = fma(row_q[8 + c4], v6, s1);
			s2 = fma(row_q[16 + c4], v6, s2);
			s3 = fma(row_q[24 + c4], v6, s3);
			s4 = fma(row_q[32 + c4], v6, s4);
			s5 = fma(row_q[40 + c4], v6, s5);
			s6 = fma(row_q[48 + c4], v6, s6);
			s7 = fma(row_q[56 + c4], v6, s7);
		}
		scores[0 + n] = s0;
		scores[8 + n] = s1;
		scores[16 + n] = s2;
		scores[24 + n] = s3;
		scores[32 + n] = s4;
		scores[40 + n] = s5;
		scores[48 + n] = s6;
		scores[56 + n] = s7;
	}
	workgroupBarrier();
	var largest = -inf_f32();
	let sr = t / 8;
	for (var n = t % 8; n < 8; n += 8) {
		let s = scores[sr * 8 + n] * 0.3535533845424652f;
		scores[sr * 8 + n] = s;
		largest = max_f32(largest, s);
	}
	partial[t] = largest;
	workgroupBarrier();
	for (var n = 0; n < 8; n += 1) {
		largest = max_f32(largest, partial[sr * 8 + n]);
	}
	workgroupBarrier();
	var total_p = 0.0f;
	for (var n = t % 8; n < 8; n += 8) {
		let e = prob_f32(scores[sr * 8 + n] - largest);
		scores[sr * 8 + n] = e;
		total_p += e;
	}
	partial[t] = total_p;
	workgroupBarrier();
	let j7 = g * 16 + h * 8 - o4;
	if (t % 8 == 0) {
		var sum = 0.0f;
		for (var n = 0; n < 8; n += 1) {
			sum += partial[t + n];
		}
		row_sum[sr] = sum;
		if (row0 + sr < 8) {
			let lse_row = row0 + sr;
			b4[j7 + lse_row] = largest + log_f32(sum);
		}
	}
	workgroupBarrier();
	let j15 = g * 128 + h * 8 - o3;
	 {
		let c8 = min(0 + t % 8, 7);
		let part9 = t / 16;
		let rows10 = ((t / 8) % 2) * 4;
		var sum0 = 0.0f;
		var sum1 = 0.0f;
		var sum2 = 0.0f;
		var sum3 = 0.0f;
		let j11 = j2 + c8;
		for (var n = part9; n < 8; n += 4) {
			let v12 = b0[j11 + n * 48 + 32];
			sum0 = fma(scores[(rows10 + 0) * 8 + n], v12, sum0);
			sum1 = fma(scores[(rows10 + 1) * 8 + n], v12, sum1);
			sum2 = fma(scores[(rows10 + 2) * 8 + n], v12, sum2);
			sum3 = fma(scores[(rows10 + 3) * 8 + n], v12, sum3);
		}
		sums[t * 4 + 0] = sum0;
		sums[t * 4 + 1] = sum1;
		sums[t * 4 + 2] = sum2;
		sums[t * 4 + 3] = sum3;
		workgroupBarrier();
		for (var x = t; x < 64; x += 64) {
			let lc = x % 8;
			let lr = x / 8;
			var total = 0.0f;
			for (var part = 0; part < 4; part += 1) {
				total += sums[((part * 2 + lr / 4) * 8 + lc) * 4 + lr % 4];
			}
			let r13 = row0 + lr;
			let c14 = 0 + lc;
			b3[j15 + r13 * 16 + c14] = total * (1.0f / row_sum[lr]);
		}
		workgroupBarrier();
	}
}
