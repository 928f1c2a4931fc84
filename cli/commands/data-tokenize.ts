import { join } from 'node:path';
import type { SectionKind } from '../../data/report-text.ts';
import { command } from '../command.ts';
import { showTime } from '../units.ts';

export const dataTokenize = command({
  name: 'data tokenize',
  summary: 'reports as the tokens that a text tower takes',
  description: [
    'Cuts the reports of SRC (a folder with pairs.jsonl or .txt files, or such a file) into sentences, and writes a row of tokens for ' +
      'each: input_ids and attention_mask [b t], the inputs of the entry encodeText. A sentence that is longer than a row becomes ' +
      'several rows; nothing is cut. With --json, every row is told with its report and its text.',
  ],
  positionals: [{ name: 'SRC', help: 'reports' }],
  options: {
    tokenizer: { kind: 'text', value: 'FOLDER', required: true, help: "with the model's tokenizer.json" },
    out: { kind: 'text', short: 'o', value: 'FILE', required: true, help: 'rows (safetensors)' },
    tokens: { kind: 'integer', min: 3, default: 64, value: 'T', help: 'tokens of a row' },
    sections: {
      kind: 'choice',
      choices: ['findings', 'findings+impression', 'all'],
      default: 'findings',
      help: 'which sections; findings takes the whole of a report without headings',
    },
  },
  examples: [
    [
      't3dc data tokenize data/phantom --tokenizer models/RadBERT -o tokens.safetensors',
      'a row for each sentence of the findings',
    ],
    [
      't3dc data tokenize reports.jsonl --tokenizer models/small --tokens 32 --sections all -o t.safetensors',
      'all that they say',
    ],
  ],
  async run({ SRC }, values, { out }) {
    const { sectionsOf, sentencesOf } = await import('../../data/report-text.ts');
    const { TextTokenizer } = await import('../../data/tokens.ts');
    const { readJson, readReports, writeFileAtomic } = await import('../../data/node.ts');
    const { isDataError } = await import('../../data/errors.ts');
    const { writeSafetensors } = await import('../../runtime/index.ts');
    const started = performance.now();
    const json = (name: string): Promise<unknown> => readJson(join(values.tokenizer, name));
    // Older folders have none; one that cannot be read is an error.
    const config = await json('tokenizer_config.json').catch((e) => {
      if (isDataError(e, 'file-missing')) return {};
      throw e;
    });
    const tokenizer = new TextTokenizer(await json('tokenizer.json'), config);
    const { reports, skipped } = await readReports(SRC);
    for (const s of skipped) out.note(`left out ${s.name}: ${s.reason}`);
    const kinds: readonly SectionKind[] = values.sections === 'findings' ? ['findings'] : ['findings', 'impression'];
    const sentences = reports.flatMap((r) =>
      sectionsOf(r.text)
        .filter((s) => values.sections === 'all' || kinds.includes(s.kind))
        .flatMap((s) => sentencesOf(s.text).map((text) => ({ report: r.name, text }))),
    );
    const rows = tokenizer.rows(
      sentences.map((s) => s.text),
      values.tokens,
    );
    const shape = [rows.texts.length, values.tokens];
    await writeFileAtomic(
      values.out,
      writeSafetensors([
        { name: 'input_ids', shape, data: rows.input_ids },
        { name: 'attention_mask', shape, data: rows.attention_mask },
      ]),
    );
    const split = rows.texts.length - sentences.length;
    const ms = performance.now() - started;
    out.line(
      `${rows.texts.length} rows of ${values.tokens} tokens from ${reports.length} reports${split > 0 ? `, ${split} more than sentences: long ones were split` : ''}`,
    );
    out.line(`${values.out}  (${showTime(ms)}); for t3dc build --batch ${shape[0]} --set textTokens=${shape[1]}`);
    out.json({
      out: values.out,
      shape,
      skipped,
      rows: rows.texts.map((text, n) => ({ report: sentences[rows.source[n]!]!.report, text })),
      ms,
    });
  },
});
