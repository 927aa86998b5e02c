//! A binding's grants: each known, given once, and within bounds.

use std::collections::BTreeSet;
use std::fs;

use portcullis_sandbox::{BindingSettings, FolderAccess, FolderGrant, Grant, WaitingSettings};

use crate::model::{BindingSpec, BoundedGrant, FsAccess, FsGrant, HostGrant, HttpGrant};
use crate::tenancy::registry::Workshop;

use super::{PrepareError, Stage, within};

const FOLDER_BYTES_DEFAULT: u64 = 1 << 20;

/// What a binding grants, and where each of it is written.
#[derive(Default)]
pub(super) struct Granted<'a> {
    named: BTreeSet<Grant>,
    http: Option<(&'a HttpGrant, String)>,
    folder: Option<(&'a FsGrant, String)>,
}

impl<'a> Granted<'a> {
    pub(super) fn of(spec: &'a BindingSpec, at: &str) -> Result<Self, PrepareError> {
        let mut granted = Self::default();
        for (index, grant) in spec.grants.iter().enumerate() {
            let at = format!("{at}/grants/{index}");
            match grant {
                HostGrant::Named(name) => {
                    granted.named.insert(named(name, &at)?);
                }
                HostGrant::Bounded(BoundedGrant::Http(_)) if granted.http.is_some() => {
                    return Err(twice(&at, Grant::Http));
                }
                HostGrant::Bounded(BoundedGrant::Fs(_)) if granted.folder.is_some() => {
                    return Err(twice(&at, Grant::Fs));
                }
                HostGrant::Bounded(BoundedGrant::Http(http)) => {
                    let at = format!("{at}/http");
                    check_http(http, &at)?;
                    granted.http = Some((http, at));
                }
                HostGrant::Bounded(BoundedGrant::Fs(folder)) => {
                    let at = format!("{at}/fs");
                    check_folder(folder, &at)?;
                    granted.folder = Some((folder, at));
                }
            }
        }
        Ok(granted)
    }

    /// What is granted, whatever its bounds.
    pub(super) fn names(&self) -> BTreeSet<Grant> {
        let mut names = self.named.clone();
        names.extend(self.http.as_ref().map(|_| Grant::Http));
        names.extend(self.folder.as_ref().map(|_| Grant::Fs));
        names
    }

    /// What a plugin that waits is bound with. The folder is made, where there is none.
    pub(super) fn waiting(
        &self,
        workshop: &Workshop,
        (tenant, stage): (&str, Stage<'_>),
        binding: BindingSettings,
    ) -> Result<WaitingSettings, PrepareError> {
        let outside = self.http.as_ref().map(|(http, at)| {
            let outside = workshop.services.outbound(http);
            outside.map_err(|err| PrepareError::new(at, err.to_string()))
        });
        let folder = self.folder.as_ref().map(|(grant, at)| {
            let path = workshop.plugin_files_dir.join(tenant).join(&grant.folder);
            let failed = |err: std::io::Error| {
                PrepareError::new(at, format!("{} cannot be made: {err}", path.display()))
            };
            fs::create_dir_all(&path).map_err(failed)?;
            let access = match (grant.access, stage) {
                (FsAccess::Write, Stage::Live) => FolderAccess::Write,
                // Who only watches, or is tried out, changes nothing.
                (FsAccess::Read, Stage::Live | Stage::Shadow | Stage::Trial(_))
                | (FsAccess::Write, Stage::Shadow | Stage::Trial(_)) => FolderAccess::Read,
            };
            Ok(FolderGrant {
                path,
                access,
                bytes_max: grant.bytes_max.unwrap_or(FOLDER_BYTES_DEFAULT),
            })
        });
        Ok(WaitingSettings {
            binding,
            outside: outside.transpose()?,
            folder: folder.transpose()?,
        })
    }
}

fn named(name: &str, at: &str) -> Result<Grant, PrepareError> {
    match Grant::parse(name) {
        Some(Grant::Http) => Err(PrepareError::new(
            at,
            r#"`http` is granted with the hosts that may be reached: {"http": {"hosts": ["pdp.example:8181"]}}"#,
        )),
        Some(Grant::Fs) => Err(PrepareError::new(
            at,
            r#"`fs` is granted with a folder: {"fs": {"folder": "lists"}}"#,
        )),
        Some(
            grant @ (Grant::Quota
            | Grant::Jwt
            | Grant::Keys
            | Grant::State
            | Grant::Metrics
            | Grant::Random),
        ) => Ok(grant),
        None => {
            let known = Grant::ALL.map(Grant::name).join("`, `");
            let message = format!("`{name}` is no grant; use some of `{known}`");
            Err(PrepareError::new(at, message))
        }
    }
}

fn twice(at: &str, grant: Grant) -> PrepareError {
    PrepareError::new(
        at,
        format!("`{grant}` is granted twice; put it all into one"),
    )
}

fn check_http(grant: &HttpGrant, at: &str) -> Result<(), PrepareError> {
    for (field, value, max) in [
        ("timeout_ms", grant.timeout_ms, 30_000),
        ("request_bytes_max", grant.request_bytes_max, 4 << 20),
        ("response_bytes_max", grant.response_bytes_max, 4 << 20),
        ("concurrent_max", grant.concurrent_max, 256),
    ] {
        if let Some(value) = value {
            within(value, 1..=max, &format!("{at}/{field}"))?;
        }
    }
    Ok(())
}

fn check_folder(grant: &FsGrant, at: &str) -> Result<(), PrepareError> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&grant.folder.len()) || !grant.folder.bytes().all(known) {
        let message = format!(
            "`{:.80}` is no name of a folder; use 1-64 of a-z, 0-9 and `-`",
            grant.folder
        );
        return Err(PrepareError::new(format!("{at}/folder"), message));
    }
    if let Some(bytes_max) = grant.bytes_max {
        within(bytes_max, 1..=1 << 30, &format!("{at}/bytes_max"))?;
    }
    Ok(())
}
