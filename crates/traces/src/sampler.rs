//! Which traces are sent to a collector.

/// Which traces are sent to a collector (OpenTelemetry, "Sampling").
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// This share of all traces, from 0 to 1.
    Ratio(f64),
    /// What the client has decided for its trace; this share of traces that begin here.
    ParentOrRatio(f64),
}

impl Sampler {
    /// The sampler that a variable names, with the argument that another one has.
    pub(crate) fn parse(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let ratio = || match argument.map(str::parse::<f64>) {
            None => Ok(1.0),
            Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            Some(_) => Err("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1".to_owned()),
        };
        match name {
            "always_on" => Ok(Self::Ratio(1.0)),
            "always_off" => Ok(Self::Ratio(0.0)),
            "traceidratio" => Ok(Self::Ratio(ratio()?)),
            "parentbased_always_on" => Ok(Self::ParentOrRatio(1.0)),
            "parentbased_always_off" => Ok(Self::ParentOrRatio(0.0)),
            "parentbased_traceidratio" => Ok(Self::ParentOrRatio(ratio()?)),
            _ => Err(format!(
                "OTEL_TRACES_SAMPLER={name} is not known: use always_on, always_off, traceidratio, \
                 parentbased_always_on, parentbased_always_off or parentbased_traceidratio"
            )),
        }
    }

    /// Whether this trace is sent, given what the client has decided. Servers with the same share
    /// decide alike, because the id decides.
    pub(crate) fn decides(self, trace_id: &[u8; 16], parent: Option<bool>) -> bool {
        match (self, parent) {
            (Self::ParentOrRatio(_), Some(sampled)) => sampled,
            (Self::ParentOrRatio(ratio) | Self::Ratio(ratio), _) => {
                let [.., a, b, c, d, e, f, g, h] = *trace_id;
                let random = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
                // Both numbers have 63 bits, as in other implementations (`TraceIdRatioBased`).
                ratio >= 1.0 || (random as f64) < ratio * (1_u64 << 63) as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: u64) -> [u8; 16] {
        let mut id = [1; 16];
        id[8..].copy_from_slice(&last.to_be_bytes());
        id
    }

    #[test]
    fn the_id_decides_for_a_share() {
        let half = Sampler::parse("traceidratio", Some("0.5")).unwrap();
        let sampled = (0..1000_u64)
            .filter(|number| half.decides(&id(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)), None));
        let sampled = sampled.count();
        assert!((400..600).contains(&sampled), "{sampled}");
        for (name, expected) in [("always_on", true), ("always_off", false)] {
            let sampler = Sampler::parse(name, None).unwrap();
            for number in [0, 1, u64::MAX] {
                assert_eq!(
                    sampler.decides(&id(number), Some(!expected)),
                    expected,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_parent_decides_if_it_may() {
        for name in ["parentbased_always_on", "parentbased_always_off"] {
            let sampler = Sampler::parse(name, None).unwrap();
            assert!(sampler.decides(&id(7), Some(true)));
            assert!(!sampler.decides(&id(7), Some(false)));
            assert_eq!(sampler.decides(&id(7), None), name.ends_with("on"));
        }
    }

    #[test]
    fn other_names_and_numbers_are_errors() {
        for (name, argument) in [
            ("jaeger_remote", None),
            ("", None),
            ("traceidratio", Some("2")),
            ("traceidratio", Some("x")),
            ("traceidratio", Some("NaN")),
        ] {
            assert!(
                Sampler::parse(name, argument).is_err(),
                "{name} {argument:?}"
            );
        }
    }
}
