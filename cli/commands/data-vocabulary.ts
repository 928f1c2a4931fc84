import { join } from 'node:path';
import { command } from '../command.ts';
import { showTime } from '../units.ts';

export const dataVocabulary = command({
  name: 'data vocabulary',
  summary: "make a text tower's vocabulary from reports",
  description: [
    'Counts the words of SRC (a folder with pairs.jsonl or .txt files, or such a file) and writes a WordPiece vocabulary as ' +
      "Hugging Face's tokenizers read it, with a config.json of a small BERT: a folder for t3dc build --text, where no trained " +
      'text tower is at hand (t3dc build t3d --entries encodeText --text FOLDER). The same reports give the same files.',
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
  ],
  async run({ SRC }, values, { out }) {
    const { tokenizerJson, trainWordPiece } = await import('../../data/wordpiece.ts');
    const { readReports, writeFileAtomic } = await import('../../data/node.ts');
    const started = performance.now();
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
