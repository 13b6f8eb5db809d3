//! Sessions end when what they were made with is gone.

use std::time::Duration;

use identity::{Account, CredentialFingerprint, LoginOutcome, LoginSettings, SessionStatus};

use crate::support::{Door, account, credentials, script};

async fn credential(door: &Door, account: &str, password: &str) -> Option<CredentialFingerprint> {
    match door
        .login
        .login(&credentials(account, password), None)
        .await
        .unwrap()
    {
        LoginOutcome::Accepted(accepted) => accepted.credential,
        other => panic!("{account} is not let in: {other:?}"),
    }
}

async fn standing(
    users: &[(&str, Account)],
    account: &str,
    credential: Option<&CredentialFingerprint>,
) -> &'static str {
    match Door::new(users)
        .login
        .recheck(account, credential)
        .await
        .unwrap()
    {
        SessionStatus::Valid(_) => "good",
        SessionStatus::Ended => "gone",
        SessionStatus::Unknown => "cannot say",
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_password() {
    let (one, two) = (("one", 4), ("two", 5));
    let before = Door::new(&[("ann", account(&[one, two])), ("guest", account(&[]))]);
    let with_one = credential(&before, "ann", "one").await;
    let with_two = credential(&before, "ann", "two").await;
    let guest = credential(&before, "guest", "").await;
    let (with_one, with_two, guest) = (with_one.as_ref(), with_two.as_ref(), guest.as_ref());
    assert!(with_one.is_some() && with_two.is_some() && with_one != with_two);

    let both = [("ann", account(&[one, two])), ("guest", account(&[]))];
    assert_eq!(standing(&both, "ann", with_one).await, "good");
    assert_eq!(standing(&both, "ann", with_two).await, "good");
    assert_eq!(standing(&both, "guest", guest).await, "good");
    assert_eq!(standing(&both, "guest", with_one).await, "gone");
    assert_eq!(standing(&both, "ann", None).await, "gone");

    let rotated = [
        ("ann", account(&[two, ("three", 4)])),
        ("guest", account(&[one])),
    ];
    assert_eq!(standing(&rotated, "ann", with_one).await, "gone");
    assert_eq!(standing(&rotated, "ann", with_two).await, "good");
    assert_eq!(standing(&rotated, "guest", guest).await, "gone");
    assert_eq!(standing(&[], "ann", with_one).await, "gone");
}

#[tokio::test]
async fn a_recheck_tells_the_labels_of_today() {
    let door = Door::new(&[("ann", account(&[("one", 4)]))]);
    let credential = credential(&door, "ann", "one").await;
    let labels = [("team".to_owned(), vec!["red".to_owned()])].into();
    let today = Door::new(&[(
        "ann",
        Account {
            labels,
            ..account(&[("one", 4)])
        },
    )]);
    let SessionStatus::Valid(subject) = today
        .login
        .recheck("ann", credential.as_ref())
        .await
        .unwrap()
    else {
        panic!("gone")
    };
    assert_eq!(subject.labels["team"], ["red"]);
}

#[tokio::test]
async fn a_program_cannot_say_but_does_not_cover_for_who_left() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "exit 0", Duration::from_secs(60));
    let door = Door::with(
        &[("ann", account(&[("one", 4)]))],
        LoginSettings::default(),
        Some(program),
    );
    let ann = credential(&door, "ann", "one").await;
    assert_eq!(credential(&door, "ext", "any").await, None);
    assert_eq!(
        door.login.recheck("ext", None).await.unwrap(),
        SessionStatus::Unknown
    );
    // Somebody else's name, once in `users`: the program behind it does not vouch for a password it
    // never saw.
    assert_eq!(
        door.login.recheck("left", ann.as_ref()).await.unwrap(),
        SessionStatus::Ended
    );
}

#[tokio::test]
async fn an_account_is_looked_up_by_name_alone() {
    let directory = tempfile::tempdir().unwrap();
    let labels = [("team".to_owned(), vec!["red".to_owned()])].into();
    let accounts = [(
        "ann",
        Account {
            labels,
            ..account(&[("one", 4)])
        },
    )];
    let door = Door::new(&accounts);
    assert_eq!(
        door.login.look_up("ann").await.unwrap().unwrap().labels["team"],
        ["red"]
    );
    assert_eq!(door.login.look_up("bob").await.unwrap(), None);
    let program = script(directory.path(), "exit 0", Duration::from_secs(60));
    let door = Door::with(&accounts, LoginSettings::default(), Some(program));
    assert_eq!(
        door.login.look_up("bob").await.unwrap(),
        None,
        "only who has a password could tell"
    );
}
