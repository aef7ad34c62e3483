// An OpenID provider (oidc-provider) by which people sign in to a team's broker. It is what it is by others; what is added signs its ID
// tokens once more, so that a test can have any token that a provider could send by mistake, or an attacker with one of its keys.
//
//     node team-oidc.mjs PACKAGE CLIENT [SECRET]
//
// With a secret the client has to show it at the token endpoint, as at Google.
// Prints "listening on http://127.0.0.1:PORT" once it does. Nobody has to click. A test steers it by POST /person/steer with JSON:
//   person    {sub, …claims}: who signs in from now on
//   claims    put into the next ID token; null takes one out
//   header    the same for its header
//   sign      "key" (as published), "rotated" (a new key, published alone from then on), "unpublished", "none", "hs256" (with the published
//             key's text as the secret), "es256" (another kind of key, under the published one's name)
//   silent    true: every request but this one is answered 503, until false
//   secret    the client's from now on, and no other
// and asks GET /person/counts, GET /person/logout-token?… (claims as in `claims`, JSON in `claims=`), and /person/device as in entra-oidc.mjs.
import { createHmac, generateKeyPairSync, randomBytes, sign as signature } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, client, secret] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/lib/index.js`).href);

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(undefined)));
const origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;

function rsa() {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const kid = randomBytes(6).toString('hex');
    const named = (key) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' });
    return { kid, privateKey, publicKey, private: named(privateKey), public: named(publicKey) };
}

let key = rsa();
const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let person = { sub: 'sub-terry', oid: 'oid-terry', preferred_username: 'terry@example.com', groups: ['8d1f'] };
let next = {};
let silent = false;
const counts = { jwks: 0, token: 0, discovery: 0 };

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function changed(value, by) {
    const all = { ...value, ...by };
    for (const name of Object.keys(all)) if (all[name] === null) delete all[name];
    return all;
}

/** Signs a token as the test has it. */
function signed(claims, how) {
    if (how.sign === 'rotated') key = rsa();
    const by = how.sign === 'unpublished' ? rsa() : key;
    const algorithms = { none: 'none', hs256: 'HS256', es256: 'ES256' };
    const header = changed({ alg: algorithms[how.sign] ?? 'RS256', typ: 'JWT', kid: by.kid }, how.header);
    const message = `${part(header)}.${part(changed(claims, how.claims))}`;
    const bytes = Buffer.from(message);
    if (how.sign === 'none') return `${message}.`;
    if (how.sign === 'hs256') {
        const secret = by.publicKey.export({ format: 'pem', type: 'spki' });
        return `${message}.${createHmac('sha256', secret).update(bytes).digest('base64url')}`;
    }
    if (how.sign === 'es256') return `${message}.${signature('sha256', bytes, { key: curve.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    return `${message}.${signature('sha256', bytes, by.privateKey).toString('base64url')}`;
}

async function grant(of, clientId, accountId) {
    const made = new of.Grant({ clientId, accountId });
    made.addOIDCScope('openid profile offline_access');
    return made.save();
}

const provider = new Provider(origin, {
    jwks: { keys: [key.private] },
    clients: [
        {
            client_id: client,
            application_type: 'native',
            grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
            redirect_uris: ['http://localhost', 'http://127.0.0.1'],
            ...(secret ? { client_secret: secret, token_endpoint_auth_method: 'client_secret_basic' } : { token_endpoint_auth_method: 'none' }),
        },
    ],
    scopes: ['openid', 'profile', 'offline_access'],
    clientAuthMethods: [secret ? 'client_secret_basic' : 'none'],
    claims: { openid: ['sub', 'oid', 'groups', 'preferred_username'] },
    conformIdTokenClaims: false,
    pkce: { methods: ['S256'], required: () => true },
    cookies: { keys: ['a test of one minute'] },
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: false }, revocation: { enabled: true } },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ ...person, sub: id }) }),
    interactions: { url: (_context, interaction) => `/person/${interaction.uid}` },
    issueRefreshToken: (_context, of) => of.grantTypeAllowed('refresh_token'),
    loadExistingGrant: async (context) => {
        const { session, client: of } = context.oidc;
        const known = session.grantIdFor(of.clientId);
        if (known) return context.oidc.provider.Grant.find(known);
        return context.oidc.provider.Grant.find(await grant(context.oidc.provider, of.clientId, session.accountId));
    },
    ttl: { DeviceCode: 900, Grant: 3600, Session: 3600, Interaction: 600, RefreshToken: 3600, AccessToken: 3599, IdToken: 3600 },
});

async function atDevice(query, answer) {
    const code = await provider.DeviceCode.findByUserCode(query.get('user_code').replace(/[^A-Z0-9]/gi, '').toUpperCase());
    if (!code) return answer.writeHead(404).end();
    if (query.get('answer') === 'yes') {
        Object.assign(code, { accountId: person.sub, authTime: Math.floor(Date.now() / 1000) });
        code.grantId = await grant(provider, code.clientId, person.sub);
        code.scope = code.params.scope;
    } else {
        Object.assign(code, { error: 'access_denied', errorDescription: 'declined' });
    }
    await code.save();
    return answer.writeHead(204).end();
}

async function steered(request, answer) {
    let text = '';
    for await (const piece of request) text += piece;
    const wanted = JSON.parse(text);
    if (wanted.person) person = wanted.person;
    if (wanted.silent !== undefined) silent = wanted.silent;
    if (wanted.secret) (await provider.Client.find(client)).clientSecret = wanted.secret;
    next = { claims: wanted.claims ?? {}, header: wanted.header ?? {}, sign: wanted.sign ?? 'key' };
    return answer.writeHead(204).end();
}

const json = (answer, value) => answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

/** The token endpoint's answer, with its ID token signed as the test has it. */
function signAnew(answer) {
    const end = answer.end.bind(answer);
    answer.end = (chunk, ...rest) => {
        let body = chunk;
        try {
            const told = JSON.parse(String(chunk));
            if (told.id_token) {
                const claims = JSON.parse(Buffer.from(told.id_token.split('.')[1], 'base64url').toString());
                told.id_token = signed(claims, next);
                next = {};
                body = Buffer.from(JSON.stringify(told));
                answer.setHeader('content-length', body.length);
            }
        } catch {
            // Not JSON: as it is.
        }
        return end(body, ...rest);
    };
}

const callback = provider.callback();
server.on('request', async (request, answer) => {
    const url = new URL(request.url, origin);
    try {
        if (url.pathname === '/person/steer') return await steered(request, answer);
        if (url.pathname === '/person/counts') return json(answer, counts);
        if (silent) return answer.writeHead(503).end();
        if (url.pathname === '/person/device') return await atDevice(url.searchParams, answer);
        if (url.pathname === '/person/logout-token') {
            const now = Math.floor(Date.now() / 1000);
            const event = { 'http://schemas.openid.net/event/backchannel-logout': {} };
            const claims = { iss: origin, aud: client, iat: now, exp: now + 120, jti: randomBytes(8).toString('hex'), events: event };
            return json(answer, signed({ ...claims, ...JSON.parse(url.searchParams.get('claims') ?? '{}') }, {}));
        }
        if (url.pathname.startsWith('/person/')) {
            await provider.interactionDetails(request, answer);
            return await provider.interactionFinished(request, answer, { login: { accountId: person.sub }, consent: {} });
        }
        if (url.pathname === '/jwks') {
            counts.jwks += 1;
            return json(answer, { keys: [{ kty: 'OKP', crv: 'X9', x: 'AA', kid: 'of-a-kind-that-nobody-knows' }, key.public] });
        }
        if (url.pathname.startsWith('/.well-known/')) counts.discovery += 1;
        if (url.pathname === '/token') {
            counts.token += 1;
            signAnew(answer);
        }
    } catch (error) {
        console.error(error);
        return answer.writeHead(500).end(String(error));
    }
    return callback(request, answer);
});
console.log(`listening on ${origin}`);
