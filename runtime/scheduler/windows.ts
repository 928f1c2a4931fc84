// Sliding windows along one axis, as MONAI's dense_patch_slices lays them: every interval voxels, the last window shifted
// inward. Source: monai/data/utils.py dense_patch_slices and monai/inferers/utils.py _get_scan_interval.

/** Voxels between window starts. */
// @ts-ignore: decorator
@inline
function interval(size: u32, roi: u32, overlap: f64): u32 {
  if (roi == size) return roi;
  return max<u32>(1, <u32>(<f64>roi * (1.0 - overlap)));
}

/** Number of windows of `roi` voxels over `size` voxels; one where roi >= size. */
export function count(size: u32, roi: u32, overlap: f64): u32 {
  if (size <= roi) return 1;
  const step = interval(size, roi, overlap);
  return (size - roi + step - 1) / step + 1;
}

/** First voxel of window i. */
export function start(size: u32, roi: u32, overlap: f64, i: u32): u32 {
  if (size <= roi) return 0;
  const at = i * interval(size, roi, overlap);
  return at + roi > size ? size - roi : at;
}
