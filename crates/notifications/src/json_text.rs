//! Text in JSON, escaped as Go's encoder does.

/// Which bytes cannot stand in a string as they are: control characters, quotes, backslashes, the
/// characters that HTML gives a meaning, and the first byte of the separators of lines.
const IS_SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    let mut place = 0;
    let others = *b"\"\\<>&\xe2";
    while place < others.len() {
        special[others[place] as usize] = true;
        place += 1;
    }
    special
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes the inside of a string.
pub(crate) fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    put_runs(out, text, |out, byte| match byte {
        b'"' => out.extend_from_slice(br#"\""#),
        b'\\' => out.extend_from_slice(br"\\"),
        0x08 => out.extend_from_slice(br"\b"),
        0x0c => out.extend_from_slice(br"\f"),
        b'\n' => out.extend_from_slice(br"\n"),
        b'\r' => out.extend_from_slice(br"\r"),
        b'\t' => out.extend_from_slice(br"\t"),
        other => put_code(out, other),
    });
}

/// Writes JSON that another encoder has made: only what Go escapes besides is changed. It stands only
/// within strings.
pub(crate) fn put_json(out: &mut Vec<u8>, json: &[u8]) {
    put_runs(out, json, |out, byte| match byte {
        b'<' | b'>' | b'&' => put_code(out, byte),
        other => out.push(other),
    });
}

/// Copies `text` up to each special byte, which `put` writes.
fn put_runs(out: &mut Vec<u8>, text: &[u8], put: impl Fn(&mut Vec<u8>, u8)) {
    let mut rest = text;
    loop {
        let special = rest.iter().position(|byte| IS_SPECIAL[usize::from(*byte)]);
        let Some(place) = special else {
            return out.extend_from_slice(rest);
        };
        let (run, from) = rest.split_at(place);
        out.extend_from_slice(run);
        rest = match from {
            [0xe2, 0x80, last @ (0xa8 | 0xa9), after @ ..] => {
                out.extend_from_slice(br"\u202");
                out.push(HEX[usize::from(last & 15)]);
                after
            }
            [0xe2, after @ ..] => {
                out.push(0xe2);
                after
            }
            [special, after @ ..] => {
                put(out, *special);
                after
            }
            [] => return,
        };
    }
}

fn put_code(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(br"\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the general encoder makes of a text, with Go's further escapes.
    fn expected(text: &str) -> String {
        let json = serde_json::to_string(text).unwrap();
        let escapes = [
            ("<", r"\u003c"),
            (">", r"\u003e"),
            ("&", r"\u0026"),
            ("\u{2028}", r"\u2028"),
            ("\u{2029}", r"\u2029"),
        ];
        escapes
            .iter()
            .fold(json, |json, (from, to)| json.replace(from, to))
    }

    #[test]
    fn every_character_is_escaped_as_by_the_general_encoder_and_go() {
        let every = (0..0x3000).filter_map(char::from_u32);
        let mut texts: Vec<String> = every.map(String::from).collect();
        texts.push(texts.concat());
        texts.push(String::new());
        texts.push("\u{1f600}€\u{2027}\u{202a}".to_owned());
        for text in texts {
            let mut escaped = b"\"".to_vec();
            put_escaped(&mut escaped, text.as_bytes());
            escaped.push(b'"');
            assert_eq!(String::from_utf8(escaped).unwrap(), expected(&text));
            let mut json = Vec::new();
            put_json(&mut json, serde_json::to_string(&text).unwrap().as_bytes());
            assert_eq!(String::from_utf8(json).unwrap(), expected(&text));
        }
    }
}
