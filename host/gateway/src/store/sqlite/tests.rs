//! The store, on real files.

use serde_json::json;

use crate::model::{
    ChainSpec, Grant, IssuerSpec, KeyRecord, KeySpec, PluginRef, PublicKey, Resource, ResourceKind,
    ServerSpec, Signature, StatementForm, TenantSpec, TrustSpec, TrustedKey, UpstreamSpec,
};
use crate::store::{
    Grants, NewChain, NewPlugin, PluginPage, Put, SIGNATURES_MAX, Store, StoreError,
};

use super::SqliteStore;

async fn open(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(folder.path()).await.unwrap()
}

/// A store with the tenants `acme` and `globex`.
async fn with_tenants(folder: &tempfile::TempDir) -> SqliteStore {
    let store = open(folder).await;
    for tenant in ["acme", "globex"] {
        store
            .put_tenant(tenant, &TenantSpec::default())
            .await
            .unwrap();
    }
    store
}

fn plugin(name: &str, version: &str, fill: char) -> NewPlugin {
    let digest = format!("sha256:{}", fill.to_string().repeat(64));
    NewPlugin {
        info: json!({"digest": digest, "name": name}),
        digest,
        name: name.to_owned(),
        version: version.to_owned(),
        bytes: vec![1, 2, 3],
    }
}

fn upstream() -> Resource {
    let spec: UpstreamSpec = serde_json::from_value(
        json!({"url": "https://a.example/mcp", "headers": {"authorization": "Bearer s3cret"}}),
    )
    .unwrap();
    spec.into()
}

fn server(hosts: &[&str]) -> Resource {
    let spec: ServerSpec =
        serde_json::from_value(json!({"upstreams": [{"name": "a"}], "hosts": hosts})).unwrap();
    spec.into()
}

fn chain(digests: &[&str]) -> NewChain {
    let bindings: Vec<_> = digests
        .iter()
        .map(|digest| json!({"plugin": digest, "name": "b"}))
        .collect();
    let resolved: ChainSpec = serde_json::from_value(json!({"bindings": bindings})).unwrap();
    NewChain {
        written: resolved.clone(),
        resolved,
        author: "admin".to_owned(),
    }
}

fn key(id: &str, fill: u8) -> KeyRecord {
    let spec: KeySpec =
        serde_json::from_value(json!({"name": "ci", "subject": "ci-bot", "roles": ["r"]})).unwrap();
    KeyRecord {
        id: id.to_owned(),
        spec,
        sha256: [fill; 32],
        created_at_ms: 7,
    }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    let jwt = plugin("jwt-auth", "0.1.0", 'a');
    assert_eq!(store.put_plugin(jwt.clone()).await.unwrap(), Put::Created);
    assert_eq!(
        store.put_resource("acme", "a", &upstream()).await.unwrap(),
        Put::Created
    );
    assert_eq!(
        store.put_resource("acme", "a", &upstream()).await.unwrap(),
        Put::Replaced
    );
    store
        .put_resource("acme", "main", &server(&["mcp.example"]))
        .await
        .unwrap();
    let issuer: IssuerSpec =
        serde_json::from_value(json!({"issuer": "https://login.example", "secret": "s3cret"}))
            .unwrap();
    store
        .put_resource("acme", "login", &issuer.clone().into())
        .await
        .unwrap();
    store.put_key("acme", &key("key-1", 1)).await.unwrap();
    assert_eq!(
        store
            .put_chain("acme", Some(0), chain(&[&jwt.digest]))
            .await
            .unwrap(),
        1
    );
    let before = store.tenant_state("acme").await.unwrap().unwrap();
    store.close().await;

    let store = open(&folder).await;
    let after = store.tenant_state("acme").await.unwrap().unwrap();
    assert_eq!(after, before);
    assert_eq!(after.revision, 1);
    assert_eq!(after.chain.bindings[0].plugin, jwt.digest);
    assert_eq!(
        after.upstreams["a"].headers["authorization"].expose(),
        "Bearer s3cret"
    );
    assert_eq!(after.issuers["login"], issuer);
    assert_eq!(after.keys, [key("key-1", 1)]);
    assert_eq!(
        store.plugin_bytes(&jwt.digest).await.unwrap(),
        Some(vec![1, 2, 3])
    );
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.tenants, counts.plugins), (2, 1));
    assert_eq!(store.tenant_state("nobody").await.unwrap(), None);
}

#[tokio::test]
async fn a_published_version_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.put_plugin(plugin("p", "1.0.0", 'a')).await.unwrap();
    assert_eq!(
        store.put_plugin(plugin("p", "1.0.0", 'a')).await.unwrap(),
        Put::Replaced
    );
    let moved = store
        .put_plugin(plugin("p", "1.0.0", 'b'))
        .await
        .unwrap_err();
    assert!(matches!(moved, StoreError::PluginMoved { .. }), "{moved}");

    let digest = plugin("p", "1.0.0", 'a').digest;
    assert!(store.delete_plugin(&digest).await.unwrap());
    assert!(!store.delete_plugin(&digest).await.unwrap());
    let moved = store
        .put_plugin(plugin("p", "1.0.0", 'b'))
        .await
        .unwrap_err();
    assert!(
        matches!(moved, StoreError::PluginMoved { .. }),
        "deleting does not free the name: {moved}"
    );
    assert_eq!(
        store.put_plugin(plugin("p", "1.0.0", 'a')).await.unwrap(),
        Put::Created
    );
    let by_name = store
        .plugin(&"p@1.0.0".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store.plugin(&PluginRef::Digest(digest)).await.unwrap(),
        Some(by_name)
    );
}

#[tokio::test]
async fn plugins_are_listed_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for (name, version, fill) in [
        ("b", "1.0.0", '0'),
        ("a", "2.0.0", '1'),
        ("a", "10.0.0", '2'),
        ("a", "2.0.0-rc.10", '3'),
        ("a", "2.0.0-rc.9", '4'),
        ("ab", "1.0.0+2", '5'),
        ("ab", "1.0.0+1", '6'),
    ] {
        store.put_plugin(plugin(name, version, fill)).await.unwrap();
    }
    let all = [
        "a@10.0.0",
        "a@2.0.0",
        "a@2.0.0-rc.10",
        "a@2.0.0-rc.9",
        "ab@1.0.0+2",
        "ab@1.0.0+1",
        "b@1.0.0",
    ];
    for count_max in 1..=8 {
        assert_eq!(listed(&store, None, count_max).await, all, "{count_max}");
        let of_one = listed(&store, Some("ab"), count_max).await;
        assert_eq!(of_one, all[4..6], "{count_max}");
    }
    assert!(listed(&store, Some("c"), 2).await.is_empty());
}

/// Everything of a list, page after page.
async fn listed(store: &SqliteStore, name: Option<&str>, count_max: u32) -> Vec<String> {
    let mut seen = Vec::new();
    let mut page = PluginPage {
        name: name.map(str::to_owned),
        after: None,
        count_max,
    };
    loop {
        let plugins = store.plugins(page.clone()).await.unwrap();
        let Some(last) = plugins.last() else {
            return seen;
        };
        assert!(plugins.len() <= count_max as usize);
        page.after = Some((last.name.clone(), last.version.clone()));
        let names = plugins.iter();
        seen.extend(names.map(|plugin| format!("{}@{}", plugin.name, plugin.version)));
    }
}

fn signature(digest: &str, key: u8) -> Signature {
    let public_key = PublicKey::new([key; 32]);
    Signature {
        statement: StatementForm::V1,
        digest: digest.to_owned(),
        key_id: public_key.id(),
        public_key,
        signature: format!("by {key}"),
    }
}

#[tokio::test]
async fn a_plugin_has_one_signature_of_each_key_and_not_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let signed = plugin("p", "1.0.0", 'a');
    let digest = signed.digest.as_str();
    let nowhere = store.put_signature(&signature(digest, 0)).await;
    assert!(
        matches!(nowhere, Err(StoreError::NoSuchPlugin { .. })),
        "{nowhere:?}"
    );
    store.put_plugin(signed.clone()).await.unwrap();
    for key in 0..u8::try_from(SIGNATURES_MAX).unwrap() {
        let put = store.put_signature(&signature(digest, key)).await.unwrap();
        assert_eq!(put, Put::Created, "{key}");
    }
    let again = Signature {
        signature: "again".to_owned(),
        ..signature(digest, 3)
    };
    let put = store.put_signature(&again).await.unwrap();
    assert_eq!(put, Put::Replaced, "one key, one signature");
    let beyond = store.put_signature(&signature(digest, 200)).await;
    assert!(
        matches!(beyond, Err(StoreError::TooManySignatures { .. })),
        "{beyond:?}"
    );

    store.close().await;
    let store = open(&folder).await;
    let by_digest = PluginRef::Digest(digest.to_owned());
    let found = store.plugin(&by_digest).await.unwrap().unwrap();
    assert_eq!(found.signatures.len(), SIGNATURES_MAX);
    assert!(found.signatures.contains(&again));
    let listed = store.plugins(PluginPage {
        count_max: 1,
        ..PluginPage::default()
    });
    assert_eq!(listed.await.unwrap(), [found]);
    // They go with the plugin, and do not come back with it.
    assert!(store.delete_plugin(digest).await.unwrap());
    store.put_plugin(signed.clone()).await.unwrap();
    let anew = store.plugin(&by_digest).await.unwrap().unwrap();
    assert_eq!(anew.signatures, []);
}

#[tokio::test]
async fn trust_is_the_tenants_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    let trust = TrustSpec {
        require_signature: true,
        keys: vec![TrustedKey {
            name: "release".to_owned(),
            id: None,
            public_key: PublicKey::new([7; 32]),
        }],
    };
    let new = store.tenant_state("acme").await.unwrap().unwrap();
    assert_eq!(new.trust, TrustSpec::default());
    store.put_trust("acme", &trust).await.unwrap();
    let nobody = store.put_trust("nobody", &trust).await;
    assert!(
        matches!(nobody, Err(StoreError::NoSuchTenant { .. })),
        "{nobody:?}"
    );
    // A tenant's own document is another matter.
    let spec = TenantSpec::default();
    store.put_tenant("acme", &spec).await.unwrap();
    store.close().await;
    let store = open(&folder).await;
    let acme = store.tenant_state("acme").await.unwrap().unwrap();
    assert_eq!(acme.trust, trust);
    let globex = store.tenant_state("globex").await.unwrap().unwrap();
    assert_eq!(globex.trust, TrustSpec::default());
}

#[tokio::test]
async fn a_plugin_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    let used = plugin("p", "1.0.0", 'a');
    store.put_plugin(used.clone()).await.unwrap();
    store
        .put_chain("acme", None, chain(&[&used.digest, &used.digest]))
        .await
        .unwrap();
    let in_use = store.delete_plugin(&used.digest).await.unwrap_err();
    assert!(
        matches!(&in_use, StoreError::PluginInUse { tenants } if tenants == &["acme"]),
        "{in_use}"
    );
    store.put_chain("acme", None, chain(&[])).await.unwrap();
    assert!(store.delete_plugin(&used.digest).await.unwrap());
    let missing = store
        .put_chain("acme", None, chain(&[&used.digest]))
        .await
        .unwrap_err();
    assert!(
        matches!(missing, StoreError::NoSuchPlugin { .. }),
        "{missing}"
    );
    assert_eq!(
        store.tenant_state("acme").await.unwrap().unwrap().revision,
        2,
        "a refused chain leaves no trace"
    );
}

#[tokio::test]
async fn a_chain_is_compared_before_it_is_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    assert_eq!(
        store.put_chain("acme", Some(0), chain(&[])).await.unwrap(),
        1
    );
    let moved = store
        .put_chain("acme", Some(0), chain(&[]))
        .await
        .unwrap_err();
    assert!(
        matches!(
            moved,
            StoreError::RevisionMoved {
                expected: 0,
                current: 1
            }
        ),
        "{moved}"
    );
    assert_eq!(store.put_chain("acme", None, chain(&[])).await.unwrap(), 2);
    let nobody = store
        .put_chain("nobody", None, chain(&[]))
        .await
        .unwrap_err();
    assert!(
        matches!(nobody, StoreError::NoSuchTenant { .. }),
        "{nobody}"
    );

    let numbers = |revisions: Vec<crate::store::Revision>| {
        revisions
            .into_iter()
            .map(|revision| revision.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        numbers(store.revisions("acme", None, 10).await.unwrap()),
        [2, 1]
    );
    assert_eq!(
        numbers(store.revisions("acme", Some(2), 10).await.unwrap()),
        [1]
    );
    assert_eq!(
        store.revision("acme", 1).await.unwrap().unwrap().author,
        "admin"
    );
    assert_eq!(store.revision("acme", 3).await.unwrap(), None);
}

#[tokio::test]
async fn of_writers_that_race_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    let writers = (0..8).map(|_| store.put_chain("acme", Some(0), chain(&[])));
    let results = futures_util::future::join_all(writers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Ok(1) | Err(StoreError::RevisionMoved { .. })))
    );
}

#[tokio::test]
async fn server_names_and_hosts_belong_to_one_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    store
        .put_resource("acme", "main", &server(&["a.example"]))
        .await
        .unwrap();
    // Upstreams of two tenants may have one name.
    store.put_resource("acme", "a", &upstream()).await.unwrap();
    store
        .put_resource("globex", "a", &upstream())
        .await
        .unwrap();

    let taken = store
        .put_resource("globex", "main", &server(&[]))
        .await
        .unwrap_err();
    assert!(
        matches!(&taken, StoreError::ServerTaken { owner, .. } if owner == "acme"),
        "{taken}"
    );
    let taken = store
        .put_resource("globex", "other", &server(&["b.example", "a.example"]))
        .await
        .unwrap_err();
    assert!(
        matches!(&taken, StoreError::HostTaken { host, .. } if host == "a.example"),
        "{taken}"
    );
    assert!(
        store
            .tenant_state("globex")
            .await
            .unwrap()
            .unwrap()
            .servers
            .is_empty(),
        "a refused server leaves no trace"
    );

    store
        .put_resource("acme", "main", &server(&[]))
        .await
        .unwrap();
    store
        .put_resource("globex", "other", &server(&["b.example", "a.example"]))
        .await
        .unwrap();
    assert!(store.delete_tenant("globex").await.unwrap());
    store
        .put_resource("acme", "other", &server(&["a.example"]))
        .await
        .unwrap();
    let nobody = store
        .put_resource("nobody", "x", &server(&[]))
        .await
        .unwrap_err();
    assert!(
        matches!(nobody, StoreError::NoSuchTenant { .. }),
        "{nobody}"
    );
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    store.put_resource("acme", "a", &upstream()).await.unwrap();
    store.put_key("acme", &key("key-1", 1)).await.unwrap();
    assert!(
        !store
            .delete_resource("globex", ResourceKind::Upstream, "a")
            .await
            .unwrap(),
        "not another tenant's"
    );
    assert!(
        !store
            .delete_resource("acme", ResourceKind::Server, "a")
            .await
            .unwrap(),
        "not another kind"
    );
    assert!(
        store
            .delete_resource("acme", ResourceKind::Upstream, "a")
            .await
            .unwrap()
    );
    assert!(
        !store.delete_key("globex", "key-1").await.unwrap(),
        "not another tenant's"
    );
    assert!(store.delete_key("acme", "key-1").await.unwrap());
    store.put_chain("acme", None, chain(&[])).await.unwrap();
    assert!(store.delete_tenant("acme").await.unwrap());
    assert!(!store.delete_tenant("acme").await.unwrap());
    assert_eq!(store.tenant("acme").await.unwrap(), None);
    assert!(store.revisions("acme", None, 10).await.unwrap().is_empty());
    assert_eq!(store.tenants(None, 10).await.unwrap().len(), 1);
    assert!(
        store
            .tenants(Some("globex".to_owned()), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_grant_is_kept_with_its_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tenants(&folder).await;
    let granted = |access: &str| -> Grant {
        serde_json::from_value(json!({
            "url": "https://a.example/mcp", "grant": "authorization-code", "issuer": "https://login.example",
            "client_id": "c", "tokens": { "access": access, "refresh": "r-1" },
        }))
        .unwrap()
    };
    store.put_grant("acme", "a", &granted("t-0")).await.unwrap();
    assert_eq!(
        store.grant("acme", "a").await.unwrap(),
        None,
        "there is no such upstream"
    );

    store.put_resource("acme", "a", &upstream()).await.unwrap();
    store.put_grant("acme", "a", &granted("t-1")).await.unwrap();
    store.put_grant("acme", "a", &granted("t-2")).await.unwrap();
    store.close().await;
    let store = open(&folder).await;
    assert_eq!(
        store.grant("acme", "a").await.unwrap(),
        Some(granted("t-2"))
    );
    assert_eq!(store.grant("globex", "a").await.unwrap(), None);

    // A new definition of the upstream leaves it; the end of the upstream does not.
    store.put_resource("acme", "a", &upstream()).await.unwrap();
    assert!(store.grant("acme", "a").await.unwrap().is_some());
    store
        .delete_resource("acme", ResourceKind::Upstream, "a")
        .await
        .unwrap();
    store.put_resource("acme", "a", &upstream()).await.unwrap();
    assert_eq!(store.grant("acme", "a").await.unwrap(), None);

    store.put_grant("acme", "a", &granted("t-3")).await.unwrap();
    store.delete_grant("acme", "a").await.unwrap();
    assert_eq!(store.grant("acme", "a").await.unwrap(), None);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = SqliteStore::open(&file.join("data")).await.err().unwrap();
    let text = error
        .to_string()
        .replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @"the data folder DIR/file/data cannot be used: Not a directory (os error 20). Give this user write access to it, or choose another folder with --data-dir");

    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("portcullis.db")).unwrap();
    let error = SqliteStore::open(&data).await.err().unwrap();
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    let error = SqliteStore::open(folder.path()).await.err().unwrap();
    let text = error
        .to_string()
        .replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @"the store DIR/portcullis.db was written by a newer Portcullis (it has migration 9999, unknown here). Run that version or a later one");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("portcullis.db"),
        "this is not a database, but long enough to look like one".repeat(20),
    )
    .unwrap();
    let error = SqliteStore::open(folder.path()).await.err().unwrap();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_gateways_user_can_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = SqliteStore::open(&data).await.unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(store.path()), 0o600);
    assert_eq!(mode(&data.join("portcullis.db-wal")), 0o600);
}
