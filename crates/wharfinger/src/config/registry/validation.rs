//! `registry.sparse` and `registry.validation`: what pushed manifests may say.

use oci::DescriptorPlatform;
use regex::RegexSet;
use registry::{LayerUrls, ManifestValidation, SparseManifests};

use crate::config::effective::Effective;
use crate::config::schema::Kind;
use crate::config::schema::key::{self, Words};
use crate::config::section::Section;

/// Declares `registry.sparse` and `registry.validation.*`.
pub(super) fn read(section: &mut Section<'_>) -> ManifestValidation {
    let sparse = section.get(
        key::word("sparse")
            .means(
                "which manifests may refer to content that their repository does not have; with `none`, \
                 an index needs its images; with `all`, an image can be pushed before its blobs",
            )
            .default(SparseManifests::Indexes),
    );
    let mapping = key::mapping("validation").means("what pushed manifests may say, below");
    let (urls, platforms) = section.always(mapping, |validation| {
        let mapping = key::mapping("urls").means(
            "which URLs layers may have; without `allow` and `deny`, any: they are stored, and never \
             followed",
        );
        let urls = validation
            .optional(mapping, |urls| Some(read_urls(urls)))
            .unwrap_or_default();
        (urls, read_platforms(validation))
    });
    ManifestValidation {
        sparse,
        platforms,
        urls,
    }
}

/// A section without anything allows no URL, as in Distribution.
fn read_urls(urls: &mut Section<'_>) -> LayerUrls {
    let allow = read_set(
        urls,
        "allow",
        "regular expressions; one of them must match somewhere in the URL",
    );
    let deny = read_set(urls, "deny", "regular expressions; none of them may match");
    LayerUrls::Restricted {
        allow: match (allow, deny.is_empty()) {
            (allow, _) if !allow.is_empty() => Some(allow),
            (none, true) => Some(none),
            (_, false) => None,
        },
        deny,
    }
}

fn read_set(urls: &mut Section<'_>, name: &'static str, means: &'static str) -> RegexSet {
    let key = key::custom(name, Kind::List(Box::new(Kind::Form("regular expression"))));
    let list = urls.setting(key.means(means));
    let mut texts = Vec::new();
    for item in list.and_then(|list| list.items()).unwrap_or_default() {
        texts.extend(item.parse(|text| RegexSet::new([text]).map(|_| text.to_owned())));
    }
    if !texts.is_empty() {
        let shown = texts.iter().map(Effective::quoted);
        urls.show(name, Effective::List(shown.collect()));
    }
    // Each was compiled alone; together they may be too large.
    RegexSet::new(texts).unwrap_or_else(|error| {
        urls.error_about(
            name,
            crate::config::diagnostics::Problem::Invalid,
            error.to_string(),
        );
        RegexSet::empty()
    })
}

fn read_platforms(validation: &mut Section<'_>) -> Vec<DescriptorPlatform> {
    let key = key::custom(
        "platforms",
        Kind::List(Box::new(Kind::Form("`OS/ARCHITECTURE`"))),
    )
    .means("with `sparse: none`, the platforms whose images an index needs")
    .otherwise("all");
    let list = validation.setting(key);
    let mut platforms = Vec::new();
    for item in list.and_then(|list| list.items()).unwrap_or_default() {
        platforms.extend(item.parse(platform));
    }
    if !platforms.is_empty() {
        let shown = platforms.iter().map(|it: &DescriptorPlatform| {
            Effective::quoted(format!("{}/{}", it.os, it.architecture))
        });
        validation.show("platforms", Effective::List(shown.collect()));
    }
    platforms
}

fn platform(text: &str) -> Result<DescriptorPlatform, String> {
    match text.split_once('/') {
        Some((os, architecture)) if !os.is_empty() && !architecture.is_empty() => {
            Ok(DescriptorPlatform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
            })
        }
        _ => Err("must be a platform such as linux/amd64".to_owned()),
    }
}

impl Words for SparseManifests {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("indexes", Self::Indexes),
        ("all", Self::All),
    ];
}
