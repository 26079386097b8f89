//! Which program of this machine is connected to a gateway already, as far as `/proc` tells this user. Most
//! gateways serve one program at a time: the next one is accepted, and never answered.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::holder::{Holder, name_of, processes_but_this};
use crate::config::Port;

/// The state of a connection in use, in the kernel's tables.
const ESTABLISHED: &str = "01";

/// A connection of this machine to the gateway, and the program behind it: `Some(None)` where this user may
/// not see which.
pub(crate) fn holder_of_gateway(port: &Port, proc: &Path) -> Option<Option<Holder>> {
    let (Port::Tcp { host, port } | Port::Rfc2217 { host, port }) = port else { return None };
    let gateway: Vec<SocketAddr> = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), *port)).ok()?.collect();
    let tables = ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(proc.join(table)).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| connections(table, &gateway)).collect();
    let own = proc.join(std::process::id().to_string());
    sockets
        .into_iter()
        .filter(|socket| !has_socket(&own, socket))
        .map(|socket| {
            let holder = processes_but_this(proc).find(|pid| has_socket(&proc.join(pid.to_string()), &socket));
            holder.map(|pid| Holder { name: name_of(&proc.join(pid.to_string())), pid })
        })
        .next()
}

/// The socket numbers of the connections to one of these addresses.
fn connections(table: &str, gateway: &[SocketAddr]) -> Vec<String> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (remote, state, inode) = (fields.get(2)?, fields.get(3)?, fields.get(9)?);
        let is_to_it = *state == ESTABLISHED && gateway.contains(&address(remote)?);
        is_to_it.then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// `0100007F:1F90`: the address in words of the machine's byte order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (number, place) in octets.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(8 * number)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn has_socket(process: &Path, inode: &str) -> bool {
    let wanted = format!("socket:[{inode}]");
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().filter_map(Result::ok);
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target.as_os_str() == wanted.as_str())
}

#[cfg(test)]
mod tests {
    use super::{address, connections, holder_of_gateway};
    use crate::config::Port;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::path::Path;

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let of = |text: &str| text.parse::<SocketAddr>().ok();
        assert_eq!(address("0100007F:1F90"), of("127.0.0.1:8080"));
        assert_eq!(address("00000000000000000000000001000000:0050"), of("[::1]:80"));
        assert_eq!(address("0000000000000000FFFF00000100007F:0050"), of("127.0.0.1:80"));
        assert_eq!(address("0100007F"), None);
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 0 0 4711 1\n\
            1: 0100007F:C351 0100007F:1F90 06 00000000:00000000 00:00000000 00000000 0 0 4712 1\n";
        assert_eq!(connections(table, &[of("127.0.0.1:8080").expect("one")]), ["4711"]);
        assert!(connections(table, &[of("127.0.0.2:8080").expect("one")]).is_empty());
    }

    #[test]
    fn the_own_connection_does_not_count() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let _own = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let gateway = Port::Tcp { host: "127.0.0.1".to_owned(), port };
        assert_eq!(holder_of_gateway(&gateway, Path::new("/proc")), None);
    }
}
