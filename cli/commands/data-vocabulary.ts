import { basename, dirname, join } from 'node:path';
import { command } from '../command.ts';
import { showTime } from '../units.ts';

export const dataVocabulary = command({
  name: 'data vocabulary',
  summary: "make a text tower's vocabulary from reports",
  description: [
    'Counts the words of SRC (a folder with pairs.jsonl or .txt files, or such a file) and writes a WordPiece vocabulary as ' +
      "Hugging Face's tokenizers read it, with a config.json of a small BERT: a folder for t3dc build --text, where no trained " +
      'text tower is at hand (t3dc build t3d --entries encodeText --text FOLDER). The same reports give the same files.',
    'A SRC that is a vocab.txt, or a folder with one, is not counted: its pieces are written as tokenizer.json, which older folders of ' +
      'Hugging Face lack. Whether case and accents count is told by the tokenizer_config.json beside it.',
  ],
  positionals: [{ name: 'SRC', help: 'reports' }],
  options: {
    out: { kind: 'text', short: 'o', value: 'FOLDER', required: true, help: 'where to write' },
    size: { kind: 'integer', min: 64, max: 200000, default: 2048, value: 'N', help: 'most pieces' },
    width: { kind: 'integer', min: 32, default: 128, value: 'C', help: 'channels of the tower; 32 to a head' },
    layers: { kind: 'integer', min: 1, max: 24, default: 2, value: 'N', help: 'its layers' },
  },
  examples: [
    ['t3dc data vocabulary data/phantom -o models/small', 'from the reports of a phantom'],
    ['t3dc data vocabulary data/phantom -o models/wide --size 8000 --width 256 --layers 4', 'a larger tower'],
    ['t3dc data vocabulary models/RadBERT -o models/RadBERT', 'tokenizer.json from its vocab.txt'],
  ],
  async run({ SRC }, values, { out }) {
    const { tokenizerJson, trainWordPiece } = await import('../../data/wordpiece.ts');
    const { readReports, writeFileAtomic } = await import('../../data/node.ts');
    const started = performance.now();
    const listed = await vocabularyFile(SRC);
    if (listed) {
      const pieces = await writeTokenizer(listed, values.out);
      out.line(`${pieces} pieces of ${listed}: ${join(values.out, 'tokenizer.json')}`);
      out.json({ dir: values.out, pieces, from: listed });
      return;
    }
    const { reports, skipped } = await readReports(SRC);
    for (const s of skipped) out.note(`left out ${s.name}: ${s.reason}`);
    const pieces = trainWordPiece(
      reports.map((r) => r.text),
      values.size,
    );
    const files: Record<string, object> = {
      'tokenizer.json': tokenizerJson(pieces),
      'tokenizer_config.json': {
        tokenizer_class: 'BertTokenizer',
        do_lower_case: true,
        strip_accents: false,
        pad_token: '[PAD]',
        unk_token: '[UNK]',
        cls_token: '[CLS]',
        sep_token: '[SEP]',
        mask_token: '[MASK]',
      },
      'config.json': {
        model_type: 'bert',
        vocab_size: pieces.length,
        hidden_size: values.width,
        num_hidden_layers: values.layers,
        num_attention_heads: Math.max(1, Math.floor(values.width / 32)),
        intermediate_size: 4 * values.width,
        max_position_embeddings: 512,
        type_vocab_size: 2,
        hidden_act: 'gelu',
        layer_norm_eps: 1e-12,
        pad_token_id: 0,
      },
    };
    for (const [name, json] of Object.entries(files))
      await writeFileAtomic(join(values.out, name), `${JSON.stringify(json, null, 1)}\n`);
    const ms = performance.now() - started;
    out.line(`${pieces.length} pieces from ${reports.length} reports in ${values.out} (${showTime(ms)})`);
    out.json({ dir: values.out, pieces: pieces.length, reports: reports.length, skipped, ms });
  },
});

const VOCABULARY = 'vocab.txt';

/** The vocab.txt that SRC is, or has. */
async function vocabularyFile(source: string): Promise<string | null> {
  const { stat } = await import('node:fs/promises');
  const path = basename(source) === VOCABULARY ? source : join(source, VOCABULARY);
  return (await stat(path).catch(() => null))?.isFile() ? path : null;
}

/** As Hugging Face's BertTokenizer reads the file: lower case by default, and accents go with the case. */
async function writeTokenizer(vocabulary: string, dir: string): Promise<number> {
  const { piecesIn, tokenizerJson } = await import('../../data/wordpiece.ts');
  const { readBytes, writeFileAtomic } = await import('../../data/node.ts');
  const { configBeside } = await import('../pretrain-text.ts');
  const pieces = piecesIn(new TextDecoder().decode(await readBytes(vocabulary)), vocabulary);
  const config = (await configBeside(join(dirname(vocabulary), 'tokenizer.json'))) as Record<string, unknown>;
  const lowercase = config.do_lower_case !== false;
  const stripAccents = typeof config.strip_accents === 'boolean' ? config.strip_accents : lowercase;
  const json = tokenizerJson(pieces, { lowercase, stripAccents });
  await writeFileAtomic(join(dir, 'tokenizer.json'), `${JSON.stringify(json, null, 1)}\n`);
  return pieces.length;
}
