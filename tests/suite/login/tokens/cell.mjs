// Runs one cell as an editor does: with Jupyter's own client library and nothing but an address and
// a token. Reads {"modules", "baseUrl", "token", "code"} from standard input, the token so that it
// stands in no list of processes; prints {"output", "status"}.
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

// What the library tells is no answer.
console.debug = console.log = console.error;

const { modules, baseUrl, token, code } = JSON.parse(await text(process.stdin));
const require = createRequire(modules + '/');
const { KernelManager, ServerConnection } = require('@jupyterlab/services');
const WebSocket = require('ws');

// As an editor that runs in a browser's engine: every request has a foreign Origin.
const origin = 'vscode-file://vscode-app';
class FromEditor extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { origin });
  }
}
const fromEditor = (input, init) => {
  const request = new Request(input, init);
  request.headers.set('origin', origin);
  return fetch(request);
};
const serverSettings = ServerConnection.makeSettings({
  baseUrl,
  wsUrl: baseUrl.replace(/^http/, 'ws'),
  token,
  appendToken: true,
  fetch: fromEditor,
  WebSocket: FromEditor,
});

const manager = new KernelManager({ serverSettings });
await manager.ready;
const kernel = await manager.startNew({ name: 'python3' });
let output = '';
const future = kernel.requestExecute({ code });
future.onIOPub = message => {
  if (message.header.msg_type === 'stream') {
    output += message.content.text;
  }
};
const reply = await future.done;
await kernel.shutdown();
process.stdout.write(JSON.stringify({ output, status: reply.content.status }) + '\n');
// The library's timers would keep the process.
process.exit(0);
