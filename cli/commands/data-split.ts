import type { Pair } from '../../data/pairs.ts';
import type { SplitItem, SplitOptions } from '../../data/splits.ts';
import { command } from '../command.ts';
import { CliError, UsageError } from '../errors.ts';
import { columns, showTime } from '../units.ts';

export const dataSplit = command({
  name: 'data split',
  summary: 'split pairs of CT and report by patient',
  description: [
    'Deals the pairs of PAIRS (a CSV, a JSONL, or a folder) out to training, validation and test, or to folds. Patients and groups stay ' +
      'whole; --stratify gives each part like shares of a column. The same pairs and seed give the same parts, whatever their order. ' +
      "Writes a list of {train, val, test}, which nnU-Net reads as its splits_final.json; --check holds such a file, nnU-Net's too, to the " +
      'same rules.',
    'Reports that are nearly the same (three-word shingles, Jaccard), and with --volumes scans that are (a coarse picture of each), must not ' +
      'stand in different parts: that is refused by name and similarity, or --together keeps them together. Reports of a few words are ' +
      'not compared.',
  ],
  positionals: [{ name: 'PAIRS', help: 'list or folder' }],
  options: {
    out: { kind: 'text', short: 'o', value: 'FILE', help: 'splits (JSON)' },
    check: { kind: 'text', value: 'FILE', help: 'check these splits in place of making some' },
    val: { kind: 'number', min: 0, max: 1, default: 0.1, value: 'P', help: 'share for validation' },
    test: { kind: 'number', min: 0, max: 1, value: 'P', help: 'share for test (default 0.1; with --folds 0)' },
    folds: { kind: 'integer', min: 2, max: 100, value: 'K', help: 'K folds in place of one validation part' },
    seed: { kind: 'integer', min: 0, default: 0, value: 'S', help: 'which parts' },
    stratify: { kind: 'text', value: 'COLUMN', help: 'site, or another column of few values' },
    together: { kind: 'flag', help: 'keep near-duplicates together in place of refusing them' },
    'reports-alike': {
      kind: 'number',
      min: 0,
      default: 0.9,
      value: 'S',
      help: 'similarity of near-duplicates; above 1: none',
    },
    volumes: { kind: 'flag', help: 'compare the volumes too (reads them all)' },
    'volumes-alike': { kind: 'number', min: 0, default: 0.8, value: 'S', help: 'likewise' },
    'without-volumes': { kind: 'flag', help: 'take reports whose volume is not there' },
    columns: { kind: 'pairs', value: 'FIELD=COLUMN', help: 'columns of other names, as in image=scan patient=who' },
  },
  examples: [
    [
      't3dc data split pairs.csv -o splits.json --test 0.2 --stratify site',
      '70 % training, 10 % validation, 20 % test',
    ],
    ['t3dc data split data/phantom -o splits.json --folds 5 --volumes --together', 'five folds, scans compared'],
    ['t3dc data split pairs.csv --check splits_final.json', 'does it keep patients apart?'],
  ],
  async run({ PAIRS }, values, { out, signal }) {
    if ((values.out === undefined) === (values.check === undefined))
      throw new UsageError('missing-argument', 'data split needs either -o FILE or --check FILE', {
        hint: 'See t3dc data split --help.',
      });
    const { readPairs, readSplits, writeFileAtomic } = await import('../../data/node.ts');
    const { checkSplit, splitItems } = await import('../../data/splits.ts');
    const { showCounts } = await import('../../data/pairs.ts');
    if (values.volumes && values['without-volumes'])
      throw new UsageError('bad-value', '--volumes and --without-volumes exclude each other');
    const started = performance.now();
    const list = await readPairs(PAIRS, {
      columns: values.columns,
      volumes: values['without-volumes'] ? 'optional' : 'required',
    });
    for (const note of list.notes) out.note(note);
    if (list.skipped.length > 0) out.note(`left out: ${showCounts(list.counts)}; t3dc data reports names them`);
    const bar = out.progress('volumes', values.volumes ? list.pairs.length : 0);
    const duplicates = { reports: values['reports-alike'], volumes: values['volumes-alike'], seed: values.seed };
    const unread: string[] = [];
    const compare = values.volumes ? await volumeHashes(list.pairs, unread, (n) => bar.update(n), signal) : undefined;
    bar.end();
    for (const why of unread) out.note(`not compared: ${why}`);
    if (values.check !== undefined) {
      const splits = await readSplits(values.check);
      const without = [];
      for (const split of splits) without.push(await checkSplit(list.pairs, split, { duplicates, volume: compare }));
      const ms = performance.now() - started;
      out.line(`${splits.length} splits keep patients, groups and near-duplicates apart (${showTime(ms)})`);
      if (without.some((w) => w.length > 0)) out.line(`pairs in no part: ${without.map((w) => w.length).join(', ')}`);
      out.json({ check: values.check, splits: splits.length, without, skipped: list.counts, ms });
      return;
    }
    const { stratify, folds } = values;
    const test = values.test ?? (folds ? 0 : 0.1);
    const options: SplitOptions = {
      val: values.val,
      test,
      folds,
      seed: values.seed,
      together: values.together,
      duplicates,
    };
    const result = await splitItems(list.pairs, {
      ...options,
      stratify: stratify === undefined ? undefined : stratumOf(list.pairs, stratify),
      volume: compare,
    });
    const about = { by: 't3dc data split', ...options, stratify, volumes: values.volumes };
    const written = result.splits.map((s) => ({ ...s, about }));
    await writeFileAtomic(values.out!, `${JSON.stringify(written, null, 1)}\n`);
    const ms = performance.now() - started;
    const parts = [
      ...(folds ? Array.from({ length: folds }, (_, k) => `fold ${k}`) : ['train', 'val']),
      ...(test > 0 ? ['test'] : []),
    ];
    const strata = Object.entries(result.strata);
    out.line(
      `${list.pairs.length} pairs of ${result.patients} patients, ${result.units} units that stay whole (${showTime(ms)})`,
    );
    out.lines(
      columns([
        ['', ...strata.map(([k]) => k || 'pairs'), ...(strata.length > 1 ? ['all'] : [])],
        ...parts.map((name, p) => {
          const counts = strata.map(([, n]) => n[p]!);
          return [
            name,
            ...counts.map(String),
            ...(strata.length > 1 ? [String(counts.reduce((a, b) => a + b, 0))] : []),
          ];
        }),
      ]),
    );
    if (result.duplicates.length > 0) {
      out.line(`${result.duplicates.length} near-duplicate pairs, each in one part`);
      if (result.largestUnit > list.pairs.length / 10)
        out.note(`the largest unit holds ${result.largestUnit} of ${list.pairs.length} pairs`);
    }
    if (result.shortReports > 0) out.note(`${result.shortReports} reports are too short to be compared`);
    if (!values.volumes) out.note('volumes were not compared (--volumes)');
    out.line(values.out);
    out.json({ out: values.out, ...result, splits: written, skipped: list.counts, ms });
  },
});

function stratumOf(pairs: readonly Pair[], column: string): (item: SplitItem, place: number) => string {
  const known = new Set(pairs.flatMap((p) => [...Object.keys(p.columns), ...(p.site === undefined ? [] : ['site'])]));
  if (!known.has(column))
    throw new CliError('pairs-columns', 'there is no such column to stratify by', {
      found: column,
      expected: [...known].sort().join(', ') || 'a list with further columns',
    });
  return (_, place) => (column === 'site' ? pairs[place]!.site : pairs[place]!.columns[column]) ?? '';
}

/** Hashes of all volumes, cut to the body and windowed, not resampled. What cannot be read is told, and compared with nothing. */
async function volumeHashes(
  pairs: readonly Pair[],
  unread: string[],
  onProgress: (done: number) => void,
  signal: AbortSignal,
): Promise<NonNullable<SplitOptions['volume']>> {
  const { readVolume } = await import('../../data/node.ts');
  const { ABDOMEN, prepare } = await import('../../data/index.ts');
  const { volumeHash } = await import('../../data/volume-hash.ts');
  const contract = { ...ABDOMEN, spacing: null, thickSlices: { above: 1000, action: 'in-plane' as const } };
  const hashes: (ReturnType<typeof volumeHash> | null)[] = [];
  for (const pair of pairs) {
    signal.throwIfAborted();
    try {
      const { image, dims } = prepare(await readVolume(pair.image!), undefined, contract);
      hashes.push(volumeHash(image, dims));
    } catch (err) {
      hashes.push(null);
      unread.push(`${pair.name}: ${(err as Error).message.split('\n')[0]}`);
    }
    onProgress(hashes.length);
  }
  return async (_, place) => hashes[place]!;
}
