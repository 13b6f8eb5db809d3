//! The names of Unicode classes that Go knows.
//!
//! The `regex` crate knows more names, so it would accept patterns that Go rejects. A name that both
//! know is the same property, of Unicode 15 in Go and of Unicode 16 here.

/// The property that a name is a value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property {
    Category,
    Script,
}

impl Property {
    /// The property that `name`, as [`canonical`] gives it, is a value of.
    pub(super) fn of(name: &str) -> Option<Self> {
        let listed = |names: &str| names.split_ascii_whitespace().any(|listed| listed == name);
        if listed(CATEGORIES) {
            Some(Self::Category)
        } else {
            listed(SCRIPTS).then_some(Self::Script)
        }
    }
}

/// `name` for comparison: in lower case, without spaces, hyphens and underscores.
pub(super) fn canonical(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, ' ' | '-' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// General categories and their other names (Go's `unicode.Categories` and
/// `unicode.CategoryAliases`).
const CATEGORIES: &str = "
    c casedletter cc cf closepunctuation cn cntrl co combiningmark connectorpunctuation control cs currencysymbol
    dashpunctuation decimalnumber digit enclosingmark finalpunctuation format initialpunctuation l lc letter
    letternumber lineseparator ll lm lo lowercaseletter lt lu m mark mathsymbol mc me mn modifierletter modifiersymbol n
    nd nl no nonspacingmark number openpunctuation other otherletter othernumber otherpunctuation othersymbol p
    paragraphseparator pc pd pe pf pi po privateuse ps punct punctuation s sc separator sk sm so spaceseparator
    spacingmark surrogate symbol titlecaseletter unassigned uppercaseletter z zl zp zs
";

/// Scripts (Go's `unicode.Scripts`).
const SCRIPTS: &str = "
    adlam ahom anatolianhieroglyphs arabic armenian avestan balinese bamum bassavah batak bengali bhaiksuki bopomofo
    brahmi braille buginese buhid canadianaboriginal carian caucasianalbanian chakma cham cherokee chorasmian common
    coptic cuneiform cypriot cyprominoan cyrillic deseret devanagari divesakuru dogra duployan egyptianhieroglyphs
    elbasan elymaic ethiopic georgian glagolitic gothic grantha greek gujarati gunjalagondi gurmukhi han hangul
    hanifirohingya hanunoo hatran hebrew hiragana imperialaramaic inherited inscriptionalpahlavi inscriptionalparthian
    javanese kaithi kannada katakana kawi kayahli kharoshthi khitansmallscript khmer khojki khudawadi lao latin lepcha
    limbu lineara linearb lisu lycian lydian mahajani makasar malayalam mandaic manichaean marchen masaramgondi
    medefaidrin meeteimayek mendekikakui meroiticcursive meroitichieroglyphs miao modi mongolian mro multani myanmar
    nabataean nagmundari nandinagari newa newtailue nko nushu nyiakengpuachuehmong ogham olchiki oldhungarian olditalic
    oldnortharabian oldpermic oldpersian oldsogdian oldsoutharabian oldturkic olduyghur oriya osage osmanya pahawhhmong
    palmyrene paucinhau phagspa phoenician psalterpahlavi rejang runic samaritan saurashtra sharada shavian siddham
    signwriting sinhala sogdian sorasompeng soyombo sundanese sylotinagri syriac tagalog tagbanwa taile taitham taiviet
    takri tamil tangsa tangut telugu thaana thai tibetan tifinagh tirhuta toto ugaritic vai vithkuqi wancho warangciti
    yezidi yi zanabazarsquare
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_here_too() {
        for name in CATEGORIES
            .split_ascii_whitespace()
            .chain(SCRIPTS.split_ascii_whitespace())
        {
            for pattern in [
                format!(r"\p{{{name}}}"),
                format!(r"[^a\P{{{name}}}]"),
                format!(r"(?i)\P{{{name}}}"),
            ] {
                assert!(
                    super::super::compile(&pattern, 1 << 20).is_ok(),
                    "{pattern}"
                );
            }
        }
    }
}
