//! Owns the text of network addresses. Must not know which JSON they become.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Bytes, Malformed, write};

/// `network_send` in PostgreSQL's `network.c`: family, length of the prefix, whether it is a `cidr`,
/// length of the address, and the address.
pub(in super::super) fn inet(to: &mut String, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
    let (family, prefix, is_cidr) = (bytes.u8()?, bytes.u8()?, bytes.u8()? != 0);
    let whole = match (family, bytes.u8()?) {
        (2, 4) => {
            write(to, format_args!("{}", Ipv4Addr::from(bytes.array::<4>()?)));
            32
        }
        (3, 16) => {
            ipv6(to, Ipv6Addr::from(bytes.array::<16>()?));
            128
        }
        _ => return Err(Malformed),
    };
    if is_cidr || prefix != whole {
        write(to, format_args!("/{prefix}"));
    }
    bytes.end()
}

/// PostgreSQL shows an IPv4 address at the end where exactly the six groups before it are zeros.
fn ipv6(to: &mut String, address: Ipv6Addr) {
    let number = u128::from(address);
    match u32::try_from(number) {
        Ok(v4) if v4 > 0xffff => write(to, format_args!("::{}", Ipv4Addr::from(v4))),
        _ => write(to, format_args!("{address}")),
    }
}

/// Of six or eight bytes.
pub(in super::super) fn macaddr(to: &mut String, bytes: Bytes<'_>) -> Result<(), Malformed> {
    for (at, byte) in bytes.0.iter().enumerate() {
        let colon = if at > 0 { ":" } else { "" };
        write(to, format_args!("{colon}{byte:02x}"));
    }
    Ok(())
}
