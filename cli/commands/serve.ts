import { command } from '../command.ts';
import { showBytes } from '../units.ts';

export const serve = command({
  name: 'serve',
  summary: 'a page that segments, trains and searches in the browser',
  description: [
    'Opens a small web server and a page on it: drop a CT, see its structures, correct or load labels and train on them. All of ' +
      'it runs in the browser; no voxel is sent anywhere, and the page is not allowed to.',
    'Only this computer can connect unless --host says otherwise. Over plain http to another computer a browser gives a page ' +
      'no GPU and one thread.',
  ],
  positionals: [
    {
      name: 'ARTIFACT',
      optional: true,
      help: 'folder or .t3dc file that t3dc build wrote (default: what npm start left in dist/demo; built where it is not there)',
    },
  ],
  options: {
    weights: {
      kind: 'text',
      value: 'FILE',
      help: 'trained weights (safetensors); without them the page offers to train',
    },
    index: { kind: 'text', value: 'FILE', help: 'studies to search by text, as t3dc embed wrote them' },
    host: { kind: 'text', value: 'ADDRESS', default: '127.0.0.1', help: 'address to listen on' },
    port: { kind: 'integer', min: 0, max: 65535, default: 8080, value: 'N', help: '0: any that is free' },
    'no-isolation': {
      kind: 'flag',
      help: 'leave out the headers that isolate the page: as it runs where a site cannot set them, on one thread',
    },
  },
  examples: [
    ['t3dc serve', 'the demonstration'],
    ['t3dc serve dist/t3d --weights weights.safetensors', 'a model of your own'],
    ['t3dc serve dist/t3d --weights weights.safetensors --index studies.index', 'with studies to search by text'],
    ['t3dc serve --port 0 --json', 'for programs: the address as JSON'],
  ],
  async run({ ARTIFACT }, values, { out, signal }) {
    const { demonstration } = await import('../serve/demonstration.ts');
    const { isLoopback, startServer } = await import('../serve/server.ts');
    const { siteOf } = await import('../serve/site.ts');
    const given = { artifact: ARTIFACT, weights: values.weights };
    const { artifact, weights } =
      given.artifact === undefined ? await demonstration(given.weights, out) : { ...given, artifact: given.artifact };
    const { files, config } = await siteOf({ artifact, weights, index: values.index });
    const isolated = !values['no-isolation'];
    const server = await startServer(files, { host: values.host, port: values.port, isolated });
    if (!isLoopback(values.host)) out.note(`anyone who reaches ${values.host} can open the page and fetch the model`);
    const trained = config.weights ? `${config.weights.name}, ${showBytes(config.weights.bytes)}` : 'not trained yet';
    out.line(`${config.artifactName} (${trained}) at ${server.url}`);
    out.line('Ctrl-C ends it.');
    out.json({ url: server.url, artifact, weights, isolated, search: config.search !== null });
    await new Promise<void>((done) => {
      if (signal.aborted) done();
      signal.addEventListener('abort', () => done(), { once: true });
    });
    await server.close();
  },
});
