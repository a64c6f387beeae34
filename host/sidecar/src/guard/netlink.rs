//! The rules as a table of nf_tables: one message to the kernel, which takes all of it or nothing.
//!
//! Numbers and layouts are those of linux/netfilter/nf_tables.h and nfnetlink.h, a part of the kernel's promise to programs.

use std::net::IpAddr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::GuardError;
use super::fence::{Rule, Traffic};

/// The table, and its chains for what the container sends and what it passes on.
const TABLE: &str = "monkeyci";
const REFUSED: &str = "refused";
const CHAINS: [(&str, u32); 2] = [("sent", NF_INET_LOCAL_OUT), ("passed-on", NF_INET_FORWARD)];

const NF_INET_FORWARD: u32 = 2;
const NF_INET_LOCAL_OUT: u32 = 3;
const NF_ACCEPT: u32 = 1;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLA_F_NESTED: u16 = 0x8000;
const NLMSG_ERROR: u16 = 2;
const HEADER: usize = 16;

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NEW_TABLE: u16 = NFNL_SUBSYS_NFTABLES << 8;
const NEW_CHAIN: u16 = NEW_TABLE | 3;
const NEW_RULE: u16 = NEW_TABLE | 6;

const REGISTER: u32 = 1;
const PAYLOAD_NETWORK: u32 = 1;
const PAYLOAD_TRANSPORT: u32 = 2;
const META_OUT_INTERFACE: u32 = 5;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
const REJECT_TCP_RESET: u32 = 1;
const REJECT_ICMPX: u32 = 2;
/// NFT_GOTO, -4.
const GOTO: u32 = 4_u32.wrapping_neg();
const ADMIN_PROHIBITED: u8 = 3;
/// The loopback interface has this number in every network namespace.
const LOOPBACK: u32 = 1;

/// Makes the kernel follow the rules in this network namespace.
pub(super) fn install(rules: &[Rule]) -> Result<(), GuardError> {
    let failed = |what| move |error: Errno| GuardError::Fence { what, source: error.into() };
    let batch = batch(rules);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))
        .map_err(failed("open a netlink socket"))?;
    let sent = send(&socket, &batch.bytes, SendFlags::empty()).map_err(failed("send the rules to the kernel"))?;
    if sent != batch.bytes.len() {
        return Err(failed("send the rules to the kernel")(Errno::MSGSIZE));
    }
    // The kernel has answered by the time that it has taken the message; one answer is for the last rule.
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let (_, length) =
            recv(&socket, &mut buffer, RecvFlags::DONTWAIT).map_err(failed("read the kernel's answer"))?;
        let answers = &buffer[..length.min(buffer.len())];
        for (sequence, code) in Answers(answers) {
            match code {
                0 if sequence == batch.answered => return Ok(()),
                0 => {}
                code => return Err(failed("the kernel refused the rules")(Errno::from_raw_os_error(code))),
            }
        }
    }
}

/// The answers in what the kernel sent: the sequence number of a message, and the error's number or 0.
struct Answers<'a>(&'a [u8]);

impl Iterator for Answers<'_> {
    type Item = (u32, i32);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let word = |at: usize| Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?));
            let (length, kind, sequence) = (word(0)? as usize, word(4)? as u16, word(8)?);
            let code = word(HEADER);
            if length < HEADER {
                return None;
            }
            self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
            if kind == NLMSG_ERROR {
                return Some((sequence, (code? as i32).wrapping_neg()));
            }
        }
    }
}

/// Messages that count together.
struct Batch {
    bytes: Vec<u8>,
    /// How many there are: the sequence number of the last.
    count: u32,
    /// The sequence number of the message whose answer says that all is well.
    answered: u32,
}

fn batch(rules: &[Rule]) -> Batch {
    let mut batch = Batch { bytes: Vec::new(), count: 0, answered: 0 };
    batch.message(NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES, |_| {});
    batch.message(NEW_TABLE, NLM_F_CREATE, NFPROTO_INET, 0, |attributes| attributes.text(1, TABLE));
    batch.message(NEW_CHAIN, NLM_F_CREATE, NFPROTO_INET, 0, |attributes| {
        attributes.text(1, TABLE);
        attributes.text(3, REFUSED);
    });
    // A connection that is being made hears of a reset at once, of ICMP a second later.
    batch.rule(REFUSED, 0, |expressions| {
        expressions.meta(META_PROTOCOL);
        expressions.equals(&[TCP]);
        expressions.reject(REJECT_TCP_RESET);
    });
    batch.rule(REFUSED, 0, |expressions| expressions.reject(REJECT_ICMPX));
    for (chain, hook) in CHAINS {
        batch.message(NEW_CHAIN, NLM_F_CREATE, NFPROTO_INET, 0, |attributes| {
            attributes.text(1, TABLE);
            attributes.text(3, chain);
            attributes.nested(4, |place| {
                place.number(1, hook);
                place.number(2, 0);
            });
            attributes.number(5, NF_ACCEPT);
            attributes.text(7, "filter");
        });
        batch.rule(chain, 0, |expressions| {
            expressions.meta(META_OUT_INTERFACE);
            expressions.equals(&LOOPBACK.to_ne_bytes());
            expressions.verdict(true);
        });
        for rule in rules {
            match rule.what {
                Traffic::All => batch.rule(chain, 0, |expressions| expressions.whole(rule, None)),
                Traffic::Icmp6 => batch.rule(chain, 0, |expressions| expressions.whole(rule, Some((ICMP6, None)))),
                Traffic::Port(port) => {
                    for protocol in [TCP, UDP] {
                        batch.rule(chain, 0, |expressions| expressions.whole(rule, Some((protocol, Some(port)))));
                    }
                }
            }
        }
    }
    // One more, that changes nothing, to be answered.
    batch.rule(CHAINS[0].0, NLM_F_ACK, |expressions| expressions.verdict(true));
    batch.answered = batch.count;
    batch.message(NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES, |_| {});
    batch
}

impl Batch {
    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, fill: impl FnOnce(&mut Attributes)) {
        let mut attributes = Attributes::default();
        fill(&mut attributes);
        self.count += 1;
        let length = HEADER + 4 + attributes.0.len();
        self.bytes.extend((length as u32).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(attributes.0);
    }

    fn rule(&mut self, chain: &str, flags: u16, fill: impl FnOnce(&mut Attributes)) {
        self.message(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND | flags, NFPROTO_INET, 0, |attributes| {
            attributes.text(1, TABLE);
            attributes.text(2, chain);
            attributes.nested(4, fill);
        });
    }
}

/// Attributes of a message, each padded to four bytes.
#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat());
    }

    fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(kind | NLA_F_NESTED, &inner.0);
    }

    /// An expression: a step of a rule, which goes on to the next only if it fits.
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.nested(1, |element| {
            element.text(1, name);
            element.nested(2, fill);
        });
    }

    fn meta(&mut self, key: u32) {
        self.expression("meta", |meta| {
            meta.number(1, REGISTER);
            meta.number(2, key);
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) {
        self.expression("payload", |payload| {
            payload.number(1, REGISTER);
            payload.number(2, base);
            payload.number(3, offset);
            payload.number(4, length);
        });
    }

    fn mask(&mut self, mask: &[u8]) {
        self.expression("bitwise", |bitwise| {
            bitwise.number(1, REGISTER);
            bitwise.number(2, REGISTER);
            bitwise.number(3, mask.len() as u32);
            bitwise.nested(4, |value| value.bytes(1, mask));
            bitwise.nested(5, |value| value.bytes(1, &vec![0; mask.len()]));
        });
    }

    fn equals(&mut self, value: &[u8]) {
        self.expression("cmp", |compare| {
            compare.number(1, REGISTER);
            compare.number(2, 0);
            compare.nested(3, |data| data.bytes(1, value));
        });
    }

    fn verdict(&mut self, allowed: bool) {
        if allowed {
            self.expression("immediate", |immediate| {
                immediate.number(1, 0);
                immediate.nested(2, |data| data.nested(2, |verdict| verdict.number(1, NF_ACCEPT)));
            });
        } else {
            self.expression("immediate", |immediate| {
                immediate.number(1, 0);
                immediate.nested(2, |data| {
                    data.nested(2, |verdict| {
                        verdict.number(1, GOTO);
                        verdict.text(2, REFUSED);
                    });
                });
            });
        }
    }

    fn reject(&mut self, kind: u32) {
        self.expression("reject", |reject| {
            reject.number(1, kind);
            reject.bytes(2, &[ADMIN_PROHIBITED]);
        });
    }

    /// All of a rule: where to, by which protocol and to which of its ports, and the verdict.
    fn whole(&mut self, rule: &Rule, protocol: Option<(u8, Option<u16>)>) {
        let (family, offset, address) = match rule.to.first() {
            IpAddr::V4(address) => (NFPROTO_IPV4, 16, address.octets().to_vec()),
            IpAddr::V6(address) => (NFPROTO_IPV6, 24, address.octets().to_vec()),
        };
        self.meta(META_FAMILY);
        self.equals(&[family]);
        let prefix = usize::from(rule.to.prefix());
        if prefix > 0 {
            self.payload(PAYLOAD_NETWORK, offset, address.len() as u32);
            if prefix < 8 * address.len() {
                self.mask(&mask(prefix, address.len()));
            }
            self.equals(&address);
        }
        if let Some((protocol, port)) = protocol {
            self.meta(META_PROTOCOL);
            self.equals(&[protocol]);
            if let Some(port) = port {
                self.payload(PAYLOAD_TRANSPORT, 2, 2);
                self.equals(&port.to_be_bytes());
            }
        }
        self.verdict(rule.allowed);
    }
}

/// `prefix` bits that are set, in so many bytes.
fn mask(prefix: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| !(0xff_u8.checked_shr(prefix.saturating_sub(8 * at) as u32).unwrap_or(0))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_as_many_bits_as_the_prefix() {
        assert_eq!(mask(8, 4), [255, 0, 0, 0]);
        assert_eq!(mask(10, 4), [255, 192, 0, 0]);
        assert_eq!(mask(31, 4), [255, 255, 255, 254]);
        assert_eq!(mask(1, 2), [128, 0]);
    }

    #[test]
    fn messages_have_the_lengths_that_they_say() {
        let rule = Rule { to: "10.0.0.0/8".parse().unwrap(), what: Traffic::Port(53), allowed: false };
        let batch = batch(&[rule]);
        let (mut rest, mut count) = (batch.bytes.as_slice(), 0);
        while !rest.is_empty() {
            let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            assert_eq!(length % 4, 0);
            rest = &rest[length..];
            count += 1;
        }
        // Begin, table, refusing chain, twice (chain, loopback, TCP, UDP), the one that is answered, end.
        assert_eq!(count, 1 + 1 + 3 + 2 * 4 + 1 + 1);
    }

    #[test]
    fn an_answer_is_read_with_what_it_answers() {
        let answer = |length: u32, kind: u16, sequence: u32, code: i32| {
            let mut bytes = Vec::new();
            bytes.extend(length.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 2]);
            bytes.extend(sequence.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(code.to_ne_bytes());
            bytes
        };
        let bytes = [answer(20, 9, 1, 7), answer(20, NLMSG_ERROR, 2, -13), answer(20, NLMSG_ERROR, 3, 0)].concat();
        assert_eq!(Answers(&bytes).collect::<Vec<_>>(), [(2, 13), (3, 0)]);
        assert_eq!(Answers(&answer(0, NLMSG_ERROR, 2, 0)).count(), 0);
    }
}
