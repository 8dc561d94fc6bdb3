//! Choice among several servers for one publisher.

use headwater_registry::ServerRecord;

/// Server for a publisher, drawn at random. A publisher that comes alone gets the freer of two servers. One of many
/// that come at once gets any server, weighted by the room that each has: the reported loads are a second old, so all
/// of them would be sent to the freest server.
pub(super) fn choose_server(servers: &[ServerRecord], is_one_of_many: bool) -> Option<&ServerRecord> {
    if is_one_of_many {
        draw_by_room(servers, |n| rand::random_range(0..n))
    } else {
        pick_freer(servers, |n| rand::random_range(0..n))
    }
}

/// Freer one of two servers taken at random: nearly as good as the freest of all, and not the same server for all
/// publishers of the second in which the reported load is old.
fn pick_freer(servers: &[ServerRecord], mut below: impl FnMut(usize) -> usize) -> Option<&ServerRecord> {
    match servers {
        [] => None,
        [only] => Some(only),
        _ => {
            let first = below(servers.len());
            let second = (first + 1 + below(servers.len() - 1)) % servers.len();
            Some(if free_millicores(&servers[second]) > free_millicores(&servers[first]) {
                &servers[second]
            } else {
                &servers[first]
            })
        }
    }
}

/// Any server, with a probability in proportion to its room.
fn draw_by_room(servers: &[ServerRecord], below: impl FnOnce(u64) -> u64) -> Option<&ServerRecord> {
    let total = servers.iter().map(room_millicores).sum::<u64>();
    let mut at = (total > 0).then(|| below(total))?;
    servers.iter().find(|server| {
        let is_here = at < room_millicores(server);
        at = at.saturating_sub(room_millicores(server));
        is_here
    })
}

/// Room for the draw: a server that is full by what it said last still has a millicore.
fn room_millicores(server: &ServerRecord) -> u64 {
    free_millicores(server).max(1).unsigned_abs()
}

fn free_millicores(server: &ServerRecord) -> i64 {
    i64::from(server.capacity_millicores) - i64::from(server.used_millicores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, used: u32) -> ServerRecord {
        ServerRecord {
            id: name.parse().unwrap(),
            address: format!("{name}:7000"),
            capacity_millicores: 2_000,
            used_millicores: used,
            broadcasts: 0,
            draining: false,
            version: String::new(),
        }
    }

    #[test]
    fn the_freer_of_two_is_picked_whichever_came_first() {
        let servers = [server("a", 1_500), server("b", 200)];
        for first in [0, 1] {
            let mut draws = [first, 0].into_iter();
            let picked = pick_freer(&servers, |_| draws.next().unwrap()).unwrap();
            assert_eq!(picked.id, "b".parse().unwrap());
        }
    }

    #[test]
    fn two_different_servers_are_drawn() {
        let servers: Vec<_> = (0..5).map(|n| server(&n.to_string(), n * 100)).collect();
        for first in 0..5 {
            for second in 0..4 {
                let mut draws = [first, second].into_iter();
                let picked = pick_freer(&servers, |_| draws.next().unwrap()).unwrap();
                let best_excluding_last = picked.used_millicores <= 300;
                assert!(best_excluding_last, "the fullest of all never wins");
            }
        }
    }

    #[test]
    fn many_are_spread_by_the_room_that_there_is() {
        let servers = [server("a", 1_500), server("b", 500), server("full", 2_500)];
        let mut counts = [0; 3];
        for at in 0..2_001 {
            let drawn = draw_by_room(&servers, |total| {
                assert_eq!(total, 2_001);
                at
            });
            counts[servers.iter().position(|server| Some(server) == drawn).unwrap()] += 1;
        }
        assert_eq!(counts, [500, 1_500, 1]);
        assert!(draw_by_room(&[], |_| unreachable!("nothing to draw from")).is_none());
    }

    #[test]
    fn without_servers_there_is_none() {
        assert!(pick_freer(&[], |_| unreachable!("nothing to draw from")).is_none());
    }
}
