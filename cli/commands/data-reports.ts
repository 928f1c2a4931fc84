import type { Drop } from '../../data/report-cleaning.ts';
import { command } from '../command.ts';
import { UsageError } from '../errors.ts';
import { parseNames, showTime } from '../units.ts';

export const dataReports = command({
  name: 'data reports',
  summary: 'write reports anew, cleaned and de-identified',
  description: [
    'Reads PAIRS (a CSV, a JSONL, or a folder of volumes and reports) and writes DIR/reports and DIR/pairs.jsonl. Nothing is changed but ' +
      'what --drop and --deidentify ask for, and all of it is counted; DIR/removed.csv lists what --drop took out.',
    '--drop history: sections of history and indication; technique: how the scan was made; comparison: sections and sentences that compare ' +
      'with earlier studies ("unchanged since", "no longer seen", "im Vergleich zur Voruntersuchung"). A sentence goes as a whole.',
    '--deidentify: names, dates, times, numbers, phones, e-mails, addresses, hospitals, URLs and ages over 89 become [NAME], [DATE], …; ' +
      'numbers stand for patients, studies, groups and names; columns are left out but for --keep. Rules miss things: have people look ' +
      'through the result. This is no certification. The paths of volumes, and what is burnt into or stored in them, stay as they are.',
  ],
  positionals: [{ name: 'PAIRS', help: 'list or folder' }],
  options: {
    out: { kind: 'text', short: 'o', value: 'DIR', required: true, help: 'where to write' },
    deidentify: { kind: 'flag', help: 'tag what names a person' },
    drop: { kind: 'text', value: 'LIST', help: 'history, technique, comparison' },
    keep: { kind: 'text', value: 'COLUMNS', help: 'columns that stay with --deidentify' },
    names: { kind: 'text', value: 'COLUMN', help: "the patient's name, to be found anywhere in the report" },
    columns: { kind: 'pairs', value: 'FIELD=COLUMN', help: 'columns of other names, as in image=scan patient=who' },
    'without-volumes': { kind: 'flag', help: 'take reports whose volume is not there' },
    seed: { kind: 'integer', min: 0, default: 0, value: 'S', help: 'order of the numbers that stand for patients' },
  },
  examples: [
    ['t3dc data reports pairs.csv -o data/clean --deidentify --drop history,comparison', 'cleaned and de-identified'],
    ['t3dc data reports reports.csv -o data/clean --drop comparison --without-volumes', 'texts alone'],
  ],
  async run({ PAIRS }, values, { out }) {
    const { readPairs, refuseInPlace, writeReports } = await import('../../data/node.ts');
    const { DROPS } = await import('../../data/report-cleaning.ts');
    const { showCounts } = await import('../../data/pairs.ts');
    const started = performance.now();
    const drop = values.drop === undefined ? [] : parseNames('drop', values.drop);
    const wrong = drop.find((d) => !(DROPS as readonly string[]).includes(d));
    if (wrong !== undefined)
      throw new UsageError('bad-value', '--drop does not know this', { found: wrong, expected: DROPS.join(', ') });
    if (values.keep !== undefined && !values.deidentify)
      throw new UsageError('bad-value', '--keep goes with --deidentify', { hint: 'All columns stay without it.' });
    refuseInPlace(values.out, PAIRS);
    const list = await readPairs(PAIRS, {
      volumes: values['without-volumes'] ? 'optional' : 'required',
      columns: values.columns,
    });
    for (const note of list.notes) out.note(note);
    // A name may be a patient's: with --deidentify the place alone is told.
    for (const s of list.skipped) {
      const where = /^line \d+$/.test(s.where) ? s.where : 'a file of the folder';
      out.note(values.deidentify ? `left out ${where}: ${s.reason}` : `left out ${s.name} at ${s.where}: ${s.detail}`);
    }
    const set = await writeReports(values.out, list.pairs, {
      deidentify: values.deidentify,
      names: values.names,
      keep: values.keep === undefined ? undefined : parseNames('keep', values.keep),
      drop: drop as Drop[],
      seed: values.seed,
    });
    const ms = performance.now() - started;
    out.line(`${set.written} reports in ${values.out} (${showTime(ms)})`);
    if (list.skipped.length > 0) out.line(`left out: ${showCounts(list.counts)}`);
    if (drop.length > 0) out.line(`removed: ${showCounts(set.removed) || 'nothing'}; see removed.csv`);
    if (set.emptied > 0) out.line(`${set.emptied} more of which nothing was left`);
    if (values.deidentify) {
      out.line(`tagged: ${showCounts(set.identifiers) || 'nothing'}`);
      if (set.without.length > 0) out.line(`columns left out: ${set.without.join(', ')}`);
      out.note(
        'rules miss names and numbers: have people look through these reports. The volumes and their paths are as they were.',
      );
    }
    if (drop.length === 0 && !values.deidentify)
      out.note('no report was changed: neither --drop nor --deidentify is given');
    out.json({ dir: values.out, ...set, skipped: list.counts, notes: list.notes, ms });
  },
});
