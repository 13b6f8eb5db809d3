//! The order in which lines are matched, if it is not that of the file.

use std::collections::HashMap;

use super::error::{CasbinError, CasbinFile, CasbinProblem};
use super::lines::{Line, RoleLink};

/// Puts lines with a smaller number in `column` first.
pub(super) fn by_priority(lines: &mut [Line], column: usize) -> Vec<CasbinError> {
    let priority = |line: &Line| line.column(column).parse::<i64>();
    let wrong = lines.iter().filter(|line| priority(line).is_err());
    let errors: Vec<_> = wrong
        .map(|line| CasbinError {
            file: CasbinFile::Policy,
            line: line.number,
            problem: CasbinProblem::Priority(line.column(column).to_owned()),
        })
        .collect();
    lines.sort_by_key(|line| priority(line).unwrap_or(i64::MAX));
    errors
}

/// Puts the lines of a subject, the first column, before those of its roles. `domain` is the column
/// of the domain in which it has them.
pub(super) fn by_subject<'a>(
    lines: &mut [Line],
    links: impl Iterator<Item = &'a RoleLink> + Clone,
    domain: Option<usize>,
) -> Result<(), CasbinError> {
    let levels = levels(links)?;
    let level = |line: &Line| {
        let domain = domain.map_or("", |column| line.column(column));
        levels.get(&(domain, line.column(0))).copied().unwrap_or(0)
    };
    lines.sort_by_key(|line| std::cmp::Reverse(level(line)));
    Ok(())
}

/// How many links a name is below the highest of its roles, by its domain and itself.
type Levels<'a> = HashMap<(&'a str, &'a str), usize>;

fn levels<'a>(
    mut links: impl Iterator<Item = &'a RoleLink> + Clone,
) -> Result<Levels<'a>, CasbinError> {
    let (mut below, mut waiting) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
    for link in links.clone() {
        let (name, role) = ((&*link.domain, &*link.name), (&*link.domain, &*link.role));
        below.entry(role).or_default().push(name);
        *waiting.entry(name).or_insert(0_usize) += 1;
        waiting.entry(role).or_insert(0);
    }
    let highest = waiting.iter().filter(|(_, roles)| **roles == 0);
    let mut ready: Vec<_> = highest.map(|(name, _)| *name).collect();
    let mut levels: Levels<'_> = ready.iter().map(|name| (*name, 0)).collect();
    while let Some(role) = ready.pop() {
        let level = levels.get(&role).copied().unwrap_or(0) + 1;
        for name in below.get(&role).into_iter().flatten() {
            let deepest = levels.entry(*name).or_insert(0);
            *deepest = level.max(*deepest);
            if let Some(roles) = waiting.get_mut(name) {
                *roles -= 1;
                if *roles == 0 {
                    ready.push(*name);
                }
            }
        }
    }
    // A name that still waits is among its own roles, or has a role that is.
    let circle = links.find(|link| {
        waiting
            .get(&(&*link.domain, &*link.role))
            .is_some_and(|roles| *roles > 0)
    });
    match circle {
        None => Ok(levels),
        Some(link) => Err(CasbinError {
            file: CasbinFile::Policy,
            line: link.number,
            problem: CasbinProblem::RoleCircle(link.role.clone()),
        }),
    }
}
