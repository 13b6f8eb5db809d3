//! Tokens as the platforms document them.

use policy::Labels;
use serde_json::{Value, json};
use workload_identity::Preset;

use crate::platform::{Platform, documented};
use crate::support::{Bench, START, rule, settings};

fn labels(expected: &[(&str, &str)]) -> Labels {
    let expected = expected.iter();
    expected
        .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
        .collect()
}

/// The workload of a documented token, under the preset's own account and labels.
#[tokio::test]
async fn a_documented_token_becomes_an_account_with_labels() {
    let cases: [(Preset, Value, &str, Labels, &str); 4] = [
        (
            Preset::Github,
            documented::github(START),
            "p:74",
            labels(&[
                ("repository", "octo-org/octo-repo"),
                ("repository_id", "74"),
                ("repository_owner", "octo-org"),
                ("repository_owner_id", "65"),
                ("repository_visibility", "private"),
                ("ref", "refs/heads/main"),
                ("ref_type", "branch"),
                ("environment", "prod"),
                ("event_name", "workflow_dispatch"),
                (
                    "job_workflow_ref",
                    "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
                ),
            ]),
            "auth.yml:7 repository=\"octo-org/octo-repo\" run_id=\"9001\" run_attempt=\"2\" \
             workflow=\"release\" ref=\"refs/heads/main\"",
        ),
        (
            Preset::Gitlab,
            documented::gitlab(START),
            "p:20",
            labels(&[
                ("project_path", "my-group/my-project"),
                ("project_id", "20"),
                ("namespace_path", "my-group"),
                ("namespace_id", "72"),
                ("ref", "feature-branch-1"),
                ("ref_type", "branch"),
                ("ref_protected", "false"),
                ("environment", "test-environment2"),
                ("environment_protected", "false"),
                ("pipeline_source", "push"),
            ]),
            "auth.yml:7 project_path=\"my-group/my-project\" pipeline_id=\"574\" job_id=\"302\" \
             ref=\"feature-branch-1\"",
        ),
        (
            Preset::Kubernetes,
            documented::kubernetes(START),
            "p:builds:builder",
            labels(&[("namespace", "builds"), ("service_account", "builder")]),
            "auth.yml:7 namespace=\"builds\" service_account=\"builder\" pod=\"build-7f9c\" \
             node=\"node-1\"",
        ),
        (
            Preset::Forgejo,
            documented::forgejo(START),
            "p:21",
            labels(&[
                ("repository", "tools/app"),
                ("repository_id", "21"),
                ("repository_owner", "tools"),
                ("repository_owner_id", "3"),
                ("ref", "refs/heads/main"),
                ("ref_type", "branch"),
                ("ref_protected", "true"),
                ("event_name", "push"),
            ]),
            "auth.yml:7 repository=\"tools/app\" run_id=\"77\" run_attempt=\"1\" \
             workflow=\"release.yml\" ref=\"refs/heads/main\"",
        ),
    ];
    for (preset, claims, account, labels, origin) in cases {
        let platform = Platform::start();
        let bench = Bench::new(vec![settings("p", preset, platform.issuer())]);
        let identity = bench.accepted(&platform.token(&claims)).await;
        assert_eq!(identity.subject.account, account, "{preset}");
        assert_eq!(identity.subject.labels, labels, "{preset}");
        assert_eq!(identity.terms.origin, origin, "{preset}");
    }
}

/// Short names of Kubernetes' claims, and the whole paths.
#[tokio::test]
async fn a_rule_names_what_is_in_the_claims_of_a_pod() {
    let platform = Platform::start();
    let token = platform.token(&documented::kubernetes(START));
    for (conditions, is_accepted) in [
        (
            vec![("namespace", "builds"), ("service_account", "builder")],
            true,
        ),
        (vec![("kubernetes.io.namespace", "build*")], true),
        (vec![("kubernetes.io.pod.uid", "/^5e0bd49b-/")], true),
        (vec![("sub", "system:serviceaccount:builds:*")], true),
        (
            vec![("namespace", "builds"), ("service_account", "other")],
            false,
        ),
        (vec![("namespace", "build")], false),
        (vec![("kubernetes.io", "*")], false),
        (vec![("kubernetes.io.secret.name", "*")], false),
    ] {
        let mut settings = settings("k8s", Preset::Kubernetes, platform.issuer());
        settings.rules = vec![rule("k8s", Preset::Kubernetes, &conditions)];
        let bench = Bench::new(vec![settings]);
        match is_accepted {
            true => drop(bench.accepted(&token).await),
            false => drop(bench.refused(&token).await),
        }
    }
}

#[tokio::test]
async fn a_list_matches_by_any_of_its_values_and_numbers_match_as_text() {
    let platform = Platform::start();
    let claims = documented::gitlab(START);
    for (condition, is_accepted) in [
        (("groups_direct", "myothergroup"), true),
        (("groups_direct", "mygroup/*"), true),
        (("groups_direct", "mygroup"), false),
        (("runner_id", "1"), true),
        (("runner_id", "/^[2-9]$/"), false),
    ] {
        let mut settings = settings("gitlab", Preset::Gitlab, platform.issuer());
        settings.rules = vec![rule("gitlab", Preset::Gitlab, &[condition])];
        let bench = Bench::new(vec![settings]);
        match is_accepted {
            true => drop(bench.accepted(&platform.token(&claims)).await),
            false => drop(bench.refused(&platform.token(&claims)).await),
        }
    }
}

#[tokio::test]
async fn the_first_rule_that_takes_a_token_decides() {
    let platform = Platform::start();
    let mut settings = settings("github", Preset::Github, platform.issuer());
    let numbered = |place: &str, conditions: &[(&str, &str)]| workload_identity::TrustRule {
        place: place.into(),
        ..rule("github", Preset::Github, conditions)
    };
    settings.rules = vec![
        numbered("auth.yml:5", &[("ref_type", "tag")]),
        numbered("auth.yml:9", &[("repository_owner_id", "65")]),
        numbered("auth.yml:13", &[]),
    ];
    let bench = Bench::new(vec![settings]);
    let mut claims = documented::github(START);
    for (tamper, place) in [
        (json!({"ref_type": "branch"}), "auth.yml:9 "),
        (json!({"ref_type": "tag"}), "auth.yml:5 "),
        (
            json!({"ref_type": "branch", "repository_owner_id": "1"}),
            "auth.yml:13 ",
        ),
    ] {
        for (name, value) in tamper.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let identity = bench.accepted(&platform.token(&claims)).await;
        assert!(identity.terms.origin.starts_with(place), "{identity:?}");
    }
}

/// A claim that the account is made of may hold what would make another account's name.
#[tokio::test]
async fn no_claim_makes_the_name_of_another_workload() {
    let platform = Platform::start();
    let bench = Bench::new(vec![settings("k8s", Preset::Kubernetes, platform.issuer())]);
    for (namespace, account) in [
        ("a:b", "c"),
        ("a b", "c"),
        ("", "c"),
        ("a", ""),
        ("a\n", "c"),
    ] {
        let mut claims = documented::kubernetes(START);
        claims["kubernetes.io"]["namespace"] = namespace.into();
        claims["kubernetes.io"]["serviceaccount"]["name"] = account.into();
        let found = bench.refused(&platform.token(&claims)).await;
        assert!(found.contains("its account cannot be made"), "{found}");
    }
}
