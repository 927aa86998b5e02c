//! An upstream's `auth`: a client that can do what its grant asks, and nothing that would be refused later.

use url::Url;

use crate::model::{AuthSpec, GrantType, OauthClientSpec, OauthSpec, UpstreamSpec};
use crate::signing::signers;

use super::{Checked, Problem, TEXT_LEN_MAX, VALUE_LEN_MAX, at_most, check_url, short};

const SCOPES_MAX: usize = 64;

pub(super) fn auth(spec: &UpstreamSpec) -> Checked {
    let Some(AuthSpec::Oauth(oauth)) = &spec.auth else {
        return Ok(());
    };
    if spec.url.is_none() {
        return Err(Problem::invalid(
            "/auth",
            "`auth` is for an upstream with `url`: remove it",
        ));
    }
    let own = spec
        .headers
        .keys()
        .find(|name| name.eq_ignore_ascii_case("authorization"));
    if let Some(name) = own {
        return Err(Problem::invalid(
            format!("/headers/{name}"),
            "`auth` sets this header: keep one of the two",
        ));
    }
    if let Some(issuer) = &oauth.issuer {
        check_url("/auth/oauth/issuer", issuer)?;
    }
    client(oauth)?;
    scopes(oauth)
}

fn client(oauth: &OauthSpec) -> Checked {
    let client = &oauth.client;
    let at = |field: &str| format!("/auth/oauth/client/{field}");
    let texts = [("id", &client.id), ("key_id", &client.key_id)];
    for (field, text) in texts {
        short(at(field), text.as_deref().unwrap_or_default(), TEXT_LEN_MAX)?;
    }
    if client.id.as_ref().is_some_and(String::is_empty) {
        return Err(Problem::invalid(at("id"), "an id is not empty"));
    }
    let secret = client.secret.as_ref().map_or("", |secret| secret.expose());
    short(at("secret"), secret, VALUE_LEN_MAX)?;
    proof(client)?;
    match oauth.grant {
        GrantType::AuthorizationCode => {}
        // Callers' tokens are shown to nobody whom only the upstream has named.
        GrantType::TokenExchange if oauth.issuer.is_none() => {
            return Err(Problem::invalid(
                "/auth/oauth/issuer",
                "callers' tokens are exchanged at a server that is named here: give its `issuer`",
            ));
        }
        GrantType::ClientCredentials | GrantType::TokenExchange if client.id.is_none() => {
            return Err(Problem::invalid(
                at("id"),
                "client credentials are those of a client: give its `id`",
            ));
        }
        GrantType::ClientCredentials | GrantType::TokenExchange
            if client.secret.is_none() && client.private_key.is_none() =>
        {
            return Err(Problem::invalid(
                at("secret"),
                "give the client's `secret`, or a `private_key`",
            ));
        }
        GrantType::ClientCredentials | GrantType::TokenExchange => {}
    }
    match &client.metadata_url {
        Some(_) if client.id.is_some() => Err(Problem::invalid(
            at("metadata_url"),
            "give `id` or `metadata_url`, not both",
        )),
        // draft-ietf-oauth-client-id-metadata-document, section 3.
        Some(url) if !is_document(url) => Err(Problem::invalid(
            at("metadata_url"),
            "a client is known by an https URL with a path, and without query, fragment and credentials",
        )),
        Some(_) | None => Ok(()),
    }
}

fn proof(client: &OauthClientSpec) -> Checked {
    let at = |field: &str| format!("/auth/oauth/client/{field}");
    let is_known = client.id.is_some();
    match (&client.secret, &client.private_key) {
        (Some(_), Some(_)) => Err(Problem::invalid(
            at("private_key"),
            "give `secret` or `private_key`, not both",
        )),
        (Some(_), None) if !is_known => Err(Problem::invalid(
            at("secret"),
            "a secret belongs to a client with an `id`",
        )),
        (None, Some(_)) if !is_known && client.metadata_url.is_none() => Err(Problem::invalid(
            at("private_key"),
            "a key belongs to a client with an `id` or a `metadata_url`",
        )),
        (None, Some(pem)) if signers(pem.expose().as_bytes()).is_empty() => Err(Problem::invalid(
            at("private_key"),
            "this is no private key in PEM: RSA, P-256, P-384 or Ed25519, not encrypted",
        )),
        (Some(_) | None, None) if client.key_id.is_some() => Err(Problem::invalid(
            at("key_id"),
            "`key_id` names a `private_key`: give it, or remove this",
        )),
        (Some(_), None) | (None, Some(_) | None) => Ok(()),
    }
}

fn is_document(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        let is_bare =
            url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        url.scheme() == "https" && url.path() != "/" && is_bare && url.password().is_none()
    })
}

/// RFC 6749, section 3.3.
fn scopes(oauth: &OauthSpec) -> Checked {
    at_most(
        "/auth/oauth/scopes",
        "scopes",
        oauth.scopes.len(),
        SCOPES_MAX,
    )?;
    for (index, scope) in oauth.scopes.iter().enumerate() {
        let pointer = format!("/auth/oauth/scopes/{index}");
        let is_word = scope
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if scope.is_empty() || !is_word {
            return Err(Problem::invalid(
                pointer,
                "a scope is one word of printable ASCII, without `\"` and `\\`",
            ));
        }
        short(pointer, scope, TEXT_LEN_MAX)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = include_str!("../../cli/token/testkeys/p256.pem");

    fn pointer_of(oauth: Value, more: Value) -> Option<String> {
        let mut spec = json!({ "url": "https://crm.example/mcp", "auth": { "oauth": oauth } });
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let spec: UpstreamSpec = serde_json::from_value(spec).unwrap();
        auth(&spec).err().map(|problem| problem.pointer.unwrap())
    }

    #[test]
    fn a_client_can_do_what_its_grant_asks() {
        let (machine, person) = ("client-credentials", "authorization-code");
        for (grant, client, want) in [
            (person, json!({}), None),
            (person, json!({"id": "c"}), None),
            (person, json!({"id": "c", "secret": "s"}), None),
            (
                person,
                json!({"metadata_url": "https://gw.example/client.json"}),
                None,
            ),
            (
                person,
                json!({"metadata_url": "https://gw.example/c", "private_key": KEY}),
                None,
            ),
            (machine, json!({"id": "c", "secret": "s"}), None),
            (
                machine,
                json!({"id": "c", "private_key": KEY, "key_id": "k"}),
                None,
            ),
            (machine, json!({}), Some("id")),
            (machine, json!({"id": "c"}), Some("secret")),
            (
                machine,
                json!({"id": "c", "secret": "s", "private_key": KEY}),
                Some("private_key"),
            ),
            (
                machine,
                json!({"id": "c", "private_key": "no key"}),
                Some("private_key"),
            ),
            (person, json!({"id": ""}), Some("id")),
            (person, json!({"secret": "s"}), Some("secret")),
            (person, json!({"private_key": KEY}), Some("private_key")),
            (person, json!({"id": "c", "key_id": "k"}), Some("key_id")),
            (
                person,
                json!({"id": "c", "metadata_url": "https://gw.example/c"}),
                Some("metadata_url"),
            ),
            (
                person,
                json!({"metadata_url": "http://gw.example/c"}),
                Some("metadata_url"),
            ),
            (
                person,
                json!({"metadata_url": "https://gw.example"}),
                Some("metadata_url"),
            ),
            (
                person,
                json!({"metadata_url": "https://gw.example/c?x"}),
                Some("metadata_url"),
            ),
        ] {
            let found = pointer_of(json!({"grant": grant, "client": client}), json!({}));
            let want = want.map(|field| format!("/auth/oauth/client/{field}"));
            assert_eq!(found, want, "{grant} {client}");
        }
    }

    #[test]
    fn an_authorization_is_for_a_url_and_sets_its_header_alone() {
        let oauth = || json!({"grant": "authorization-code"});
        for (oauth, more, want) in [
            (oauth(), json!({}), None),
            (oauth(), json!({"headers": {"x-team": "a"}}), None),
            (
                oauth(),
                json!({"url": null, "command": ["x"]}),
                Some("/auth"),
            ),
            (
                oauth(),
                json!({"headers": {"Authorization": "x"}}),
                Some("/headers/Authorization"),
            ),
            (
                json!({"grant": "authorization-code", "issuer": "login"}),
                json!({}),
                Some("/auth/oauth/issuer"),
            ),
            (
                json!({"grant": "authorization-code", "scopes": ["a b"]}),
                json!({}),
                Some("/auth/oauth/scopes/0"),
            ),
            (
                json!({"grant": "authorization-code", "scopes": ["a", ""]}),
                json!({}),
                Some("/auth/oauth/scopes/1"),
            ),
        ] {
            assert_eq!(pointer_of(oauth, more.clone()).as_deref(), want, "{more}");
        }
    }
}
