// An OpenID provider (oidc-provider) with Entra ID's addresses: a second opinion on what a client sends to get a token, by people who
// had no client of ours in mind. What Entra ID says otherwise (its error codes) is the stand-in's part (tests/src/tenant).
//
//     node entra-oidc.mjs PACKAGE CERTIFICATE TENANT APP PUBLIC_APP
//
// Prints "listening on http://127.0.0.1:PORT" once it does. Nobody has to click: a person of the name in `login_hint` signs in and
// consents, and `/person/device?user_code=…&answer=yes` (or `no`) is what they do at a device's code.
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, certificate, tenant, app, publicApp] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/lib/index.js`).href);

const GRAPH = 'https://graph.microsoft.com';
const SCOPES = `${GRAPH}/.default ${GRAPH}/User.Read`;

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(undefined)));
const origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;

const read = new X509Certificate(readFileSync(certificate));
const key = {
    ...read.publicKey.export({ format: 'jwk' }),
    use: 'sig',
    alg: 'PS256',
    'x5t#S256': createHash('sha256').update(read.raw).digest('base64url'),
};

/** What a person has agreed to. */
async function grant(of, clientId, accountId) {
    const made = new of.Grant({ clientId, accountId });
    made.addOIDCScope('openid profile offline_access');
    made.addResourceScope(GRAPH, SCOPES);
    return made.save();
}

const provider = new Provider(`${origin}/${tenant}/v2.0`, {
    clients: [
        {
            client_id: app,
            grant_types: ['client_credentials'],
            redirect_uris: [],
            response_types: [],
            token_endpoint_auth_method: 'private_key_jwt',
            token_endpoint_auth_signing_alg: 'PS256',
            jwks: { keys: [key] },
        },
        {
            client_id: publicApp,
            application_type: 'native',
            grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
            redirect_uris: ['http://localhost', 'http://127.0.0.1'],
            token_endpoint_auth_method: 'none',
        },
    ],
    routes: {
        authorization: `/${tenant}/oauth2/v2.0/authorize`,
        token: `/${tenant}/oauth2/v2.0/token`,
        device_authorization: `/${tenant}/oauth2/v2.0/devicecode`,
    },
    scopes: ['openid', 'profile', 'offline_access'],
    clientAuthMethods: ['none', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['PS256'] },
    pkce: { methods: ['S256'], required: () => true },
    cookies: { keys: ['a test of one minute'] },
    features: {
        clientCredentials: { enabled: true },
        deviceFlow: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: {
            enabled: true,
            defaultResource: () => GRAPH,
            useGrantedResource: () => true,
            getResourceServerInfo: () => ({ scope: SCOPES, accessTokenTTL: 3599, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
        },
    },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_context, interaction) => `/person/${interaction.uid}` },
    issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
    loadExistingGrant: async (context) => {
        const { session, client } = context.oidc;
        const known = session.grantIdFor(client.clientId);
        if (known) return context.oidc.provider.Grant.find(known);
        const id = await grant(context.oidc.provider, client.clientId, session.accountId);
        return context.oidc.provider.Grant.find(id);
    },
    ttl: { DeviceCode: 900, Grant: 3600, Session: 3600, Interaction: 600, RefreshToken: 3600, AccessToken: 3599, ClientCredentials: 3599, IdToken: 3600 },
});

/** What a person does at the address that a device shows. */
async function atDevice(query, answer) {
    const code = await provider.DeviceCode.findByUserCode(query.get('user_code').replace(/[^A-Z0-9]/gi, '').toUpperCase());
    if (!code) return answer.writeHead(404).end();
    if (query.get('answer') === 'yes') {
        Object.assign(code, { accountId: 'person', authTime: Math.floor(Date.now() / 1000), resource: GRAPH });
        code.grantId = await grant(provider, code.clientId, 'person');
        code.scope = code.params.scope;
    } else {
        Object.assign(code, { error: 'access_denied', errorDescription: 'declined' });
    }
    await code.save();
    return answer.writeHead(204).end();
}

const callback = provider.callback();
server.on('request', async (request, answer) => {
    const url = new URL(request.url, origin);
    try {
        if (url.pathname === '/person/device') return await atDevice(url.searchParams, answer);
        if (url.pathname.startsWith('/person/')) {
            const { params } = await provider.interactionDetails(request, answer);
            const login = { accountId: String(params.login_hint ?? 'person') };
            return await provider.interactionFinished(request, answer, { login, consent: {} });
        }
    } catch (error) {
        console.error(error);
        return answer.writeHead(500).end(String(error));
    }
    // Entra ID keeps `offline_access` without being told to ask for consent (OpenID Connect Core §11 wants that): the rest is the provider's.
    if (url.pathname.endsWith('/authorize')) request.url = request.url.replace('&prompt=login', '&prompt=login%20consent');
    return callback(request, answer);
});
console.log(`listening on ${origin}`);
