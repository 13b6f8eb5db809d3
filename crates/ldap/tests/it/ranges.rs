//! A directory that sends an attribute's values in parts, as Active Directory does with more than
//! 1,500. OpenLDAP has no such limit, so this one is a stub: it accepts every bind, and each search
//! finds `ann`.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use identity::{Authenticator, Recheck};
use ldap::{LabelRule, LdapSettings, ValueChange};

use crate::support::{backend, log_in, settings};

/// Which values the stub sends: those from `start` on, at most so many at once.
#[derive(Clone, Copy)]
struct Parts {
    values: usize,
    at_once: usize,
    /// Whether it answers for more than the first part.
    goes_on: bool,
}

impl Parts {
    /// An entry with the range that is asked for, as BER (RFC 4511 §4.5.2).
    fn entry(self, start: usize) -> Vec<u8> {
        let end = self.values.min(start + self.at_once);
        let last = match end {
            end if end == self.values => "*".to_owned(),
            end => (end - 1).to_string(),
        };
        let values: Vec<u8> = (start..end)
            .flat_map(|n| element(OCTETS, format!("cn=g{n},ou=groups").as_bytes()))
            .collect();
        let attribute = |description: &str, values: &[u8]| {
            let parts = [
                element(OCTETS, description.as_bytes()),
                element(SET, values),
            ];
            element(SEQUENCE, &parts.concat())
        };
        let groups = match self.goes_on || start == 0 {
            true => attribute(&format!("memberOf;range={start}-{last}"), &values),
            false => Vec::new(),
        };
        let attributes = [
            attribute("uid", &element(OCTETS, b"ann")),
            attribute("memberOf", &[]),
            groups,
        ];
        let name = element(OCTETS, b"uid=ann,ou=people");
        element(
            ENTRY,
            &[name, element(SEQUENCE, &attributes.concat())].concat(),
        )
    }

    /// The messages that answer `request`.
    fn answer(self, request: &[u8]) -> Vec<Vec<u8>> {
        let success = [
            element(ENUMERATED, &[0]),
            element(OCTETS, b""),
            element(OCTETS, b""),
        ]
        .concat();
        let (id, operation) = (&request[..3], request[3]);
        let message = |operation: Vec<u8>| element(SEQUENCE, &[id, &operation].concat());
        match operation {
            0x60 => vec![message(element(0x61, &success))],
            0x63 => {
                let text = String::from_utf8_lossy(request);
                let start = text.split_once("memberOf;range=").map_or(0, |(_, range)| {
                    range.split_once('-').unwrap().0.parse().unwrap()
                });
                vec![message(self.entry(start)), message(element(0x65, &success))]
            }
            _ => Vec::new(),
        }
    }

    fn serve(self, mut client: TcpStream) -> io::Result<()> {
        loop {
            let mut head = [0; 2];
            client.read_exact(&mut head)?;
            let mut length = usize::from(head[1]);
            if length > 127 {
                let mut long = vec![0; length - 128];
                client.read_exact(&mut long)?;
                length = long
                    .iter()
                    .fold(0, |sum, byte| sum * 256 + usize::from(*byte));
            }
            let mut request = vec![0; length];
            client.read_exact(&mut request)?;
            for message in self.answer(&request) {
                client.write_all(&message)?;
            }
        }
    }

    /// The address of a stub.
    fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                std::thread::spawn(move || self.serve(client));
            }
        });
        address
    }

    fn settings(self) -> LdapSettings {
        LdapSettings {
            labels: vec![LabelRule {
                label: "groups".to_owned(),
                attribute: "memberof".to_owned(),
                change: ValueChange {
                    parse_cn: true,
                    ..ValueChange::default()
                },
            }],
            ..settings(&self.start())
        }
    }
}

const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const ENTRY: u8 = 0x64;

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84], &length[..], content].concat()
}

#[tokio::test]
async fn all_values_of_an_attribute_become_labels() {
    for (values, at_once) in [(1, 1500), (1500, 1500), (1501, 1500), (7, 2)] {
        let parts = Parts {
            values,
            at_once,
            goes_on: true,
        };
        let labels = match backend(parts.settings()).recheck("ann").await.unwrap() {
            Recheck::Present { subject, .. } => subject.labels,
            other => panic!("{other:?}"),
        };
        let expected: Vec<_> = (0..values).map(|n| format!("g{n}")).collect();
        assert_eq!(labels["groups"], expected, "{values} {at_once}");
    }
}

/// A rule that denies a group must not be passed because the group was not sent.
#[tokio::test]
async fn without_all_values_there_is_no_login() {
    for (values, at_once, goes_on, said) in [
        (
            3,
            2,
            false,
            "only some values of an attribute, and none for memberOf;range=2-*",
        ),
        (100, 2, true, "the values of an entry in more than 32 parts"),
        (2001, 1500, true, "more than 2000 values"),
    ] {
        let parts = Parts {
            values,
            at_once,
            goes_on,
        };
        let told = log_in(&backend(parts.settings()), "ann", "sesame")
            .await
            .broken();
        assert!(told.contains(said), "{told}");
    }
}
