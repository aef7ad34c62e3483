// An OpenID provider (oidc-provider) where the technicians of a team sign in, by HTTPS. Nobody has to click: the person of the name in
// `login_hint` signs in and consents, and is in the group "engineers".
//
//     node staff-oidc.mjs PACKAGE ADDRESS PORT CERTIFICATE KEY CLIENT
//
// Prints "listening on https://ADDRESS:PORT" once it does.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { pathToFileURL } from 'node:url';

const [folder, address, port, certificate, key, client] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/lib/index.js`).href);

const issuer = `https://${address}:${port}`;

/** What a person has agreed to. */
async function grant(of, clientId, accountId) {
    const made = new of.Grant({ clientId, accountId });
    made.addOIDCScope('openid profile offline_access');
    return made.save();
}

const provider = new Provider(issuer, {
    clients: [
        {
            client_id: client,
            application_type: 'native',
            grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
            redirect_uris: ['http://127.0.0.1', 'http://localhost', 'http://127.0.0.1/', 'http://localhost/'],
            token_endpoint_auth_method: 'none',
        },
    ],
    scopes: ['openid', 'profile', 'offline_access'],
    claims: { openid: ['sub', 'groups'], profile: ['name'] },
    conformIdTokenClaims: false,
    pkce: { methods: ['S256'], required: () => true },
    cookies: { keys: ['a test of some minutes'] },
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: false } },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, groups: ['engineers'] }) }),
    interactions: { url: (_context, interaction) => `/person/${interaction.uid}` },
    issueRefreshToken: (_context, of) => of.grantTypeAllowed('refresh_token'),
    loadExistingGrant: async (context) => {
        const { session, client: of } = context.oidc;
        const known = session.grantIdFor(of.clientId);
        if (known) return context.oidc.provider.Grant.find(known);
        const id = await grant(context.oidc.provider, of.clientId, session.accountId);
        return context.oidc.provider.Grant.find(id);
    },
    ttl: { Grant: 7200, Session: 7200, Interaction: 600, RefreshToken: 7200, AccessToken: 3600, IdToken: 3600 },
});

const callback = provider.callback();
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.on('request', async (request, answer) => {
    try {
        if (request.url.startsWith('/person/')) {
            const { params } = await provider.interactionDetails(request, answer);
            const login = { accountId: String(params.login_hint ?? 'person') };
            return await provider.interactionFinished(request, answer, { login, consent: {} });
        }
    } catch (error) {
        console.error(error);
        return answer.writeHead(500).end(String(error));
    }
    return callback(request, answer);
});
server.listen(Number(port), address, () => console.log(`listening on ${issuer}`));
