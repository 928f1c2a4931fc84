// What tells one kind of adapter from another where kernels' speed is concerned: the key of tables of measured schedules
// (compiler/tuning.ts), and what the runtime compares with the keys that an artifact's variants name.

/** Features that some kernel uses. */
export const FEATURES = ['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroups'] as const;

/** An adapter, or a device: what is asked for less is another adapter. */
export interface AdapterLike {
  readonly features: { has(name: string): boolean };
  readonly limits: {
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
  };
}

/**
 * Vendor, architecture, subgroup sizes, features and limits, such as `mesa/software subgroups 8-8 storage 32768 invocations
 * 1024 shader-f16 subgroups`. Only what a page is told too: no device's name, no driver's version.
 */
export function adapterKey(info: GPUAdapterInfo | null | undefined, { features, limits }: AdapterLike): string {
  const sizes = info as { subgroupMinSize?: number; subgroupMaxSize?: number } | null | undefined;
  const subgroups = features.has('subgroups') && sizes?.subgroupMinSize !== undefined;
  return [
    `${info?.vendor || 'unknown'}/${info?.architecture || 'unknown'}`,
    ...(subgroups ? [`subgroups ${sizes.subgroupMinSize}-${sizes.subgroupMaxSize}`] : []),
    `storage ${limits.maxComputeWorkgroupStorageSize}`,
    `invocations ${limits.maxComputeInvocationsPerWorkgroup}`,
    ...FEATURES.filter((f) => features.has(f)),
  ].join(' ');
}
