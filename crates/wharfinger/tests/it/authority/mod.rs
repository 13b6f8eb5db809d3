//! Who may do what on every address of every server: asked without authority, with too little, and by
//! another account. One table, which is reviewed as a difference.
//!
//! The operations of the API are those of its own OpenAPI document, so a new one is in the table by
//! itself. The other servers have no list, so the variants of their `enum Route` are counted.

mod attacks;
mod resources;
mod world;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use self::world::{Asked, World};

/// The table.
const GOLDEN: &str = include_str!("golden.txt");

/// The addresses that are open to all, each with its reason.
const EXEMPTIONS: &str = include_str!("exemptions.txt");

/// How many exemptions there are. It may only shrink: a new address needs authority.
const MAX_EXEMPTIONS: usize = 20;

/// An address that is no operation of the API. `route` is the variant of the server's `enum Route`.
struct Row {
    route: &'static str,
    method: &'static str,
    path: &'static str,
    form: Option<&'static str>,
}

const fn row(route: &'static str, method: &'static str, path: &'static str) -> Row {
    Row {
        route,
        method,
        path,
        form: None,
    }
}

const fn form(route: &'static str, path: &'static str, form: &'static str) -> Row {
    Row {
        route,
        method: "POST",
        path,
        form: Some(form),
    }
}

const UPLOAD: &str = "/v2/ann/app/blobs/uploads/ffffffff-ffff-4fff-bfff-ffffffffffff";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The token server's addresses: see `auth/src/routes.rs`.
const TOKEN_SERVER: &[Row] = &[
    row("Index", "GET", "/healthz"),
    row("Jwks", "GET", "/.well-known/jwks.json"),
    row(
        "Token",
        "GET",
        "/auth?service=registry&scope=repository:ann/app:pull",
    ),
    row(
        "Token",
        "HEAD",
        "/auth?service=registry&scope=repository:ann/app:pull",
    ),
    row(
        "Token",
        "GET",
        "/auth/token?service=registry&scope=repository:ann/app:pull",
    ),
    row(
        "Token",
        "GET",
        "/token?service=registry&scope=repository:ann/app:pull",
    ),
    form(
        "Token",
        "/auth",
        "grant_type=refresh_token&service=registry&client_id=c&refresh_token=whr_none",
    ),
    form("Revocation", "/auth/revoke", "token=whr_none"),
    form("Revocation", "/auth/token/revoke", "token=whr_none"),
    form("Revocation", "/token/revoke", "token=whr_none"),
    form("DeviceAuthorization", "/auth/device", "client_id=c"),
    form("DeviceAuthorization", "/auth/token/device", "client_id=c"),
    form("DeviceAuthorization", "/token/device", "client_id=c"),
];

/// The addresses of the pages: see `sign-in/src/pages/routes.rs`.
const PAGES: &[Row] = &[
    row("Index", "GET", "/"),
    row("Page", "GET", "/oidc_auth"),
    row("Page", "HEAD", "/oidc_auth"),
    form("Page", "/oidc_auth", "action=revoke&name=laptop"),
    row("Device", "GET", "/device"),
    row("Device", "HEAD", "/device"),
    form("Device", "/device", "user_code=BBBB-BBBB&action=approve"),
];

/// The registry's addresses: see `registry/src/route.rs`.
const REGISTRY: &[Row] = &[
    row("Version", "GET", "/v2/"),
    row("V2WithoutSlash", "GET", "/v2"),
    row("Catalog", "GET", "/v2/_catalog"),
    row("Extensions", "GET", "/v2/_oci/ext/discover"),
    row("Tags", "GET", "/v2/ann/app/tags/list"),
    row(
        "TagHistory",
        "GET",
        "/v2/ann/app/_wharfinger/tags/history?tag=one",
    ),
    row("Referrers", "GET", "/v2/ann/app/referrers/DIGEST"),
    row("Manifest", "GET", "/v2/ann/app/manifests/one"),
    row("Manifest", "HEAD", "/v2/ann/app/manifests/one"),
    row("Manifest", "PUT", "/v2/ann/app/manifests/one"),
    row("Manifest", "DELETE", "/v2/ann/app/manifests/one"),
    row("InvalidReference", "GET", "/v2/ann/app/manifests/.no"),
    row("InvalidReference", "PUT", "/v2/ann/app/manifests/.no"),
    row("Blob", "GET", "/v2/ann/app/blobs/DIGEST"),
    row("Blob", "HEAD", "/v2/ann/app/blobs/DIGEST"),
    row("Blob", "DELETE", "/v2/ann/app/blobs/DIGEST"),
    row("Uploads", "POST", "/v2/ann/app/blobs/uploads/"),
    row(
        "Uploads",
        "POST",
        "/v2/ann/app/blobs/uploads/?mount=DIGEST&from=ann/other",
    ),
    row("Upload", "GET", "UPLOAD"),
    row("Upload", "PATCH", "UPLOAD"),
    row("Upload", "PUT", "UPLOAD?digest=DIGEST"),
    row("Upload", "DELETE", "UPLOAD"),
];

/// The program's own addresses: see `wharfinger/src/serve/mounts.rs`.
const PROGRAM: &[Row] = &[
    row("Readiness", "GET", "/readyz"),
    row("Liveness", "GET", "/livez"),
];

/// The variants of `enum Route` in a file of another crate.
fn variants(file: &str) -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = fs::read_to_string(crates.join(file)).unwrap();
    let (_, rest) = source.split_once("enum Route {\n").unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let lines = body.lines().map(str::trim);
    let variants = lines.filter(|line| line.starts_with(char::is_uppercase));
    let name = |line: &str| line.split(['(', ',', ' ']).next().unwrap().to_owned();
    variants.map(name).collect()
}

#[test]
fn the_table_has_every_route() {
    for (file, rows, others) in [
        ("auth/src/routes.rs", TOKEN_SERVER, &[][..]),
        // `/` and `/healthz` are the token server's where both share an address.
        ("registry/src/route.rs", REGISTRY, &["Index"][..]),
    ] {
        let mut known: BTreeSet<String> = rows.iter().map(|row| row.route.to_owned()).collect();
        known.extend(others.iter().map(|route| (*route).to_owned()));
        assert_eq!(
            known,
            variants(file),
            "{file}: add rows for each new route to the table in tests/it/authority"
        );
    }
}

#[test]
fn every_address_asks_for_authority() {
    let world = World::start();
    let mut table = String::new();
    let mut open = BTreeSet::new();
    let mut add = |server: &str, address: &str, asked: [Asked; 3]| {
        writeln!(table, "{server} {address}").unwrap();
        for (caller, asked) in ["no authority", "too little", "another account"]
            .iter()
            .zip(&asked)
        {
            writeln!(table, "  {caller}: {}", asked.text).unwrap();
        }
        if !asked[0].is_refused || !asked[1].is_refused {
            open.insert(address.to_owned());
        }
        let names_an_object = address.contains('{');
        assert!(
            asked[2].is_refused || !names_an_object,
            "{address} is open to others"
        );
    };
    for operation in world.operations() {
        let address = format!("{} /api/v1{}", operation.method, operation.path);
        add("api", &address, world.ask_api(&operation));
    }
    for (server, rows) in [
        ("token server", TOKEN_SERVER),
        ("pages", PAGES),
        ("registry", REGISTRY),
        ("program", PROGRAM),
    ] {
        for row in rows {
            let path = row.path.replace("UPLOAD", UPLOAD).replace("DIGEST", DIGEST);
            let address = format!("{} {}", row.method, row.path);
            add(
                server,
                &address,
                world.ask(server, row.method, &path, row.form),
            );
        }
    }
    if std::env::var_os("BLESS").is_some() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/authority");
        fs::write(directory.join("golden.txt"), &table).unwrap();
    } else {
        assert!(
            table == GOLDEN,
            "BLESS=1 writes the table anew. It is now:\n{table}"
        );
    }
    let exempt: BTreeSet<String> = EXEMPTIONS
        .lines()
        .map(|line| {
            let (address, reason) = line.split_once(" # ").unwrap();
            assert!(!reason.is_empty(), "{line}");
            address.to_owned()
        })
        .collect();
    let new: Vec<_> = open.difference(&exempt).collect();
    assert!(
        new.is_empty(),
        "these are open, and no exemption says why: {new:#?}"
    );
    let stale: Vec<_> = exempt.difference(&open).collect();
    assert!(
        stale.is_empty(),
        "these are not open (any more): remove their exemptions: {stale:#?}"
    );
    assert_eq!(
        exempt.len(),
        MAX_EXEMPTIONS,
        "the list of exemptions only shrinks: ask for authority, or lower MAX_EXEMPTIONS"
    );
}
