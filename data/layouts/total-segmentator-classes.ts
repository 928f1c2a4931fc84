// TotalSegmentator's numbering of its 117 classes (version 2): its label maps have it, its data set has a file a class.

const count = (n: number, name: (i: number) => string, down = false): string[] =>
  Array.from({ length: n }, (_, i) => name(down ? n - i : i + 1));
const sides = (name: string, first: 'left' | 'right' = 'left'): string[] =>
  first === 'left' ? [`${name}_left`, `${name}_right`] : [`${name}_right`, `${name}_left`];

const VERSION_2: readonly string[] = [
  'background',
  'spleen',
  ...sides('kidney', 'right'),
  ...['gallbladder', 'liver', 'stomach', 'pancreas'],
  ...sides('adrenal_gland', 'right'),
  ...['lung_upper_lobe_left', 'lung_lower_lobe_left', 'lung_upper_lobe_right', 'lung_middle_lobe_right'],
  ...['lung_lower_lobe_right', 'esophagus', 'trachea', 'thyroid_gland', 'small_bowel', 'duodenum', 'colon'],
  ...['urinary_bladder', 'prostate'],
  ...sides('kidney_cyst'),
  ...['sacrum', 'vertebrae_S1'],
  ...count(5, (i) => `vertebrae_L${i}`, true),
  ...count(12, (i) => `vertebrae_T${i}`, true),
  ...count(7, (i) => `vertebrae_C${i}`, true),
  ...['heart', 'aorta', 'pulmonary_vein', 'brachiocephalic_trunk'],
  ...sides('subclavian_artery', 'right'),
  ...sides('common_carotid_artery', 'right'),
  ...sides('brachiocephalic_vein'),
  ...['atrial_appendage_left', 'superior_vena_cava', 'inferior_vena_cava', 'portal_vein_and_splenic_vein'],
  ...['iliac_artery', 'iliac_vena', 'humerus', 'scapula', 'clavicula', 'femur', 'hip'].flatMap((n) => sides(n)),
  'spinal_cord',
  ...['gluteus_maximus', 'gluteus_medius', 'gluteus_minimus', 'autochthon', 'iliopsoas'].flatMap((n) => sides(n)),
  ...['brain', 'skull'],
  ...count(12, (i) => `rib_left_${i}`),
  ...count(12, (i) => `rib_right_${i}`),
  ...['sternum', 'costal_cartilages'],
];

/** Names by id: version 2's, with classes that it does not know (of version 1, of one's own) after them in order of their names. */
export function totalClasses(files: ReadonlySet<string>): string[] {
  const known = new Set(VERSION_2);
  return [...VERSION_2, ...[...files].filter((f) => !known.has(f)).sort()];
}
