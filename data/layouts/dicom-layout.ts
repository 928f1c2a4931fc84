// A folder of DICOM studies: at any depth, one series of each study.

import { chooseSeries } from '../dicom/choose.ts';
import { firstDicom, listDicom, showVerdict } from '../dicom/folder.ts';
import type { DroppedStudy, Layout, Study } from './layout.ts';

/** Files looked at before a folder is held for none of DICOM. */
const LOOK = 64;

export const dicom: Layout = {
  name: 'dicom',
  async detect(dir) {
    const first = await firstDicom(dir, LOOK);
    return first ? [`${first} is DICOM`] : null;
  },
  async list(dir, options = {}) {
    const { series, skipped } = await listDicom(dir, options.signal);
    const studies: Study[] = [];
    const dropped: DroppedStudy[] = [];
    const taken = new Map<string, number>();
    for (const choice of chooseSeries(series, options.dicom)) {
      const { studyUid: study, verdicts, chosen } = choice;
      const patient = verdicts[0]?.series.patient ?? study;
      // Patients' ids may be names or hold slashes; the UID tells studies of one patient apart.
      const base = safe(patient);
      const n = (taken.get(base) ?? 0) + 1;
      taken.set(base, n);
      const name = n === 1 ? base : `${base}_${n}`;
      const where = verdicts[0]?.series.slices[0]?.file ?? dir;
      if (!chosen) dropped.push({ name, where, code: 'dicom-no-series', reason: verdicts.map(showVerdict).join('; ') });
      else studies.push({ name, patient, study, image: where, choice });
    }
    const reasons = new Map<string, number>();
    for (const s of skipped) reasons.set(s.reason, (reasons.get(s.reason) ?? 0) + 1);
    const notes = [...reasons].map(([reason, n]) => `${n} files passed over: ${reason}`);
    return { studies, dropped, notes };
  },
};

const safe = (text: string): string => text.trim().replace(/[^\p{L}\d._-]+/gu, '_') || 'patient';
