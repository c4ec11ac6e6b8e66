// Node's http2 client: requests in parallel on one session, an upload, trailers; the result as JSON.
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [port, hostname, ca, big] = process.argv.slice(2);
const session = http2.connect(`https://${hostname}`, {
  ca: readFileSync(ca),
  servername: hostname,
  host: "127.0.0.1",
  port: Number(port),
  createConnection: undefined,
  lookup: (_name, options, done) =>
    options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4),
});

function request(headers, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let trailers = {};
    const parts = [];
    stream.on("trailers", (fields) => (trailers = fields));
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => resolve({ body: Buffer.concat(parts), trailers }));
    stream.on("error", reject);
    if (body !== undefined) stream.end(body);
  });
}

const sizes = [Number(big), 1000, 0, 70000];
const answers = await Promise.all(sizes.map((size) => request({ ":path": `/bytes/${size}` })));
const echo = await request({ ":path": "/echo", ":method": "POST" }, Buffer.alloc(Number(big), "x"));
const trailers = await request({ ":path": "/trailers", te: "trailers" });
console.log(
  JSON.stringify({
    alpn: session.alpnProtocol,
    sizes: answers.map((answer) => answer.body.length),
    uploaded: JSON.parse(echo.body.toString()).size,
    trailers: trailers.trailers["x-checksum"],
  }),
);
session.close();
