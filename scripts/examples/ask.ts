import { createClient } from '../../src/index.ts';

const client = await createClient({ dataDir: '.tessera', rpc: ['ws://127.0.0.1:9944'] });
const answer = client.ask([{ role: 'user', content: 'Tell me about a calm ant.' }], { maxTokens: 100, stop: ['\n'] });
for await (const piece of answer) process.stdout.write(piece);
console.log('\n', answer.finish, answer.route);
await client.close();
