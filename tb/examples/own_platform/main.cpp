// The adapter in a platform of its own: plain memory, register writes, a tester on the wire.
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <systemc>
#include <vector>

#include "model/abi/crc32c.h"
#include "model/adapter/adapter.h"
#include "model/core/packet.h"

using namespace understudy;

namespace {

constexpr std::uint64_t idt_at = 0x10000;     // input descriptor table
constexpr std::uint64_t odt_at = 0x20000;     // output descriptor table
constexpr std::uint64_t buffer_at = 0x30000;  // receive buffer for the connection to come
constexpr std::uint32_t entries = 16;
constexpr std::uint16_t port = 80;
constexpr mac_address our_mac{0x02, 0, 0, 0, 0, 1};
constexpr mac_address peer_mac{0x02, 0, 0, 0, 0, 2};
constexpr ip_address our_ip = ip_address::v4(192, 0, 2, 1);
constexpr ip_address peer_ip = ip_address::v4(192, 0, 2, 2);

// A memory of a megabyte from address 0; every access takes 100 ns.
struct ram : sc_core::sc_module {
  tlm_utils::simple_target_socket<ram> socket{"socket"};
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(1 << 20);

  explicit ram(const sc_core::sc_module_name& name) : sc_module(name) {
    socket.register_b_transport(this, &ram::access);
  }

  void access(tlm::tlm_generic_payload& t, sc_core::sc_time& delay) {
    const std::uint64_t at = t.get_address();
    const unsigned length = t.get_data_length();
    if (at + length > bytes.size()) {
      t.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
      return;
    }
    if (t.is_write()) std::memcpy(&bytes[at], t.get_data_ptr(), length);
    if (t.is_read() && !t.get_byte_enable_ptr()) std::memcpy(t.get_data_ptr(), &bytes[at], length);
    delay += sc_core::sc_time(100, sc_core::SC_NS);
    t.set_response_status(tlm::TLM_OK_RESPONSE);
  }
};

// What a driver does on a real board: configuration space, registers, descriptors, doorbell.
struct board : sc_core::sc_module {
  tlm_utils::simple_initiator_socket<board> mmio{"mmio"};
  tlm_utils::simple_initiator_socket<board> cfg{"cfg"};

  board(const sc_core::sc_module_name& name, ram& m) : sc_module(name), memory(m) {}

  template <typename Socket>
  std::uint32_t access(Socket& s, tlm::tlm_command command, std::uint32_t offset, std::uint32_t value = 0) {
    tlm::tlm_generic_payload t;
    t.set_command(command);
    t.set_address(offset);
    t.set_data_ptr(reinterpret_cast<unsigned char*>(&value));
    t.set_data_length(4);
    t.set_streaming_width(4);
    sc_core::sc_time delay;
    s->b_transport(t, delay);
    wait(delay);
    return t.is_response_ok() ? value : ~0u;
  }
  std::uint32_t read(std::uint32_t reg) { return access(mmio, tlm::TLM_READ_COMMAND, reg); }
  void write(std::uint32_t reg, std::uint32_t value) { access(mmio, tlm::TLM_WRITE_COMMAND, reg, value); }

  void post(us_idt_entry e) {
    e.index16 = static_cast<std::uint16_t>(tail);
    e.cid = US_NO_CID;
    e.crc = crc32c(&e, offsetof(us_idt_entry, crc));
    std::memcpy(&memory.bytes[idt_at + tail % entries * US_ENTRY_BYTES], &e, sizeof e);
    write(US_REG_IDT_TAIL, ++tail);  // the doorbell
  }

  bool bring_up() {
    access(cfg, tlm::TLM_WRITE_COMMAND, 0x04, 0x6);  // memory space, bus master
    if (read(US_REG_ID) != US_MAGIC || read(US_REG_ABI_VERSION) >> 16 != US_ABI_MAJOR) return false;
    write(US_REG_IDT_BASE_LO, idt_at);
    write(US_REG_IDT_SIZE, entries);
    write(US_REG_ODT_BASE_LO, odt_at);
    write(US_REG_ODT_SIZE, entries);
    write(US_REG_EPOCH, 1);
    write(US_REG_CONTROL, US_CONTROL_ENABLE);

    us_idt_entry address{};
    address.opcode = US_OP_SET_ADDRESS;
    std::copy(our_mac.begin(), our_mac.end(), address.u.set_address.mac);
    std::copy(our_ip.bytes.begin(), our_ip.bytes.end(), address.u.set_address.ip);
    address.u.set_address.prefix_len = 96 + 24;
    address.u.set_address.mtu = 1500;
    post(address);
    us_idt_entry listen{};
    listen.opcode = US_OP_LISTEN;
    listen.flags = US_CONN_PROTECTED;
    listen.u.listen.port = port;
    listen.u.listen.backlog = 4;
    post(listen);
    us_idt_entry buffer{};
    buffer.opcode = US_OP_POST_POOL;
    buffer.u.rx.iova_lo = buffer_at;
    buffer.u.rx.len = 16384;
    post(buffer);

    write(US_REG_CONTROL, US_CONTROL_ENABLE | US_CONTROL_RX_ENABLE);
    wait(10, sc_core::SC_US);
    return read(US_REG_IDT_HEAD) == tail && read(US_REG_REFUSED_COMMANDS) == 0;
  }
  us_record record(std::uint32_t number) const {
    us_record r;
    std::memcpy(&r, &memory.bytes[odt_at + number % entries * US_ENTRY_BYTES], sizeof r);
    return r;
  }

  ram& memory;
  std::uint32_t tail = 0;
};

// The far end of the cable: sends three questions, judges the answers.
struct tester : sc_core::sc_module, private eth_if {
  eth_socket ethernet{"out", "in", *this};

  tester(const sc_core::sc_module_name& name, board& b) : sc_module(name), host(b) {
    SC_HAS_PROCESS(tester);
    SC_THREAD(run);
  }

  picos take(frame_ref f) override {
    const parsed_frame p = parse_frame(f);
    if (p.kind == frame_class::arp_reply && p.sender_ip == our_ip) arp = true;
    if (p.kind == frame_class::other && f.size() >= 42 && f.data()[23] == 1 && f.data()[34] == 0) echo = true;
    if (p.kind == frame_class::tcp && p.tcp.flags == (tcp_syn | tcp_ack) && p.tcp.ack == seq32{1001}) {
      syn_ack = true;
      const us_record r = host.record(0);
      committed =
          r.type == US_REC_EMBRYO && r.crc == crc32c(&r, offsetof(us_record, crc)) && r.rcv_nxt == 1001;
    }
    return now_ps();
  }

  static frame_ref echo_request() {
    std::uint8_t f[60] = {};
    std::copy(our_mac.begin(), our_mac.end(), f);
    std::copy(peer_mac.begin(), peer_mac.end(), f + 6);
    const std::uint8_t rest[] = {0x08, 0x00, 0x45, 0,   0, 28, 0, 1, 0, 0, 64, 1, 0, 0, 192,
                                 0,    2,    2,    192, 0, 2,  1, 8, 0, 0, 0,  0, 1, 0, 1};
    std::copy(std::begin(rest), std::end(rest), f + 12);
    const auto sum = [](std::uint8_t* from, std::uint8_t* to, std::uint8_t* place) {  // RFC 1071
      std::uint32_t s = 0;
      for (; from < to; from += 2) s += static_cast<std::uint32_t>(from[0] << 8 | from[1]);
      s = (s & 0xffff) + (s >> 16);
      s = ~(s + (s >> 16)) & 0xffff;
      place[0] = static_cast<std::uint8_t>(s >> 8);
      place[1] = static_cast<std::uint8_t>(s);
    };
    sum(f + 14, f + 34, f + 24);
    sum(f + 34, f + 42, f + 36);
    return frame_ref::copy_of(f, sizeof f);
  }
  static frame_ref syn() {
    segment s;
    s.tuple = {peer_ip, our_ip, 40000, port};
    s.seq = seq32{1000};
    s.flags = tcp_syn;
    s.window = 65535;
    s.options.mss = 1460;
    frame_ref f = frame_ref::make(0, header_bytes(s));
    prepend_headers(f, s, peer_mac, our_mac, 1);
    return f;
  }

  void run() {
    up = host.bring_up();
    ethernet.out->take(make_arp_request(peer_mac, peer_ip, our_ip));
    wait(50, sc_core::SC_US);
    ethernet.out->take(echo_request());
    wait(50, sc_core::SC_US);
    ethernet.out->take(syn());
    wait(50, sc_core::SC_US);
    sc_core::sc_stop();
  }

  board& host;
  bool up = false, arp = false, echo = false, syn_ack = false, committed = false;
};

}  // namespace

int sc_main(int, char**) {
  event_log log;
  adapter device("adapter", adapter_config{}, log, 0);
  ram memory("ram");
  board host("board", memory);
  tester peer("tester", host);
  device.dma.socket.bind(memory.socket);
  host.mmio.bind(device.mmio);
  host.cfg.bind(device.cfg);
  device.ethernet.bind(peer.ethernet);
  sc_core::sc_start();

  const auto say = [](const char* what, bool held) {
    std::cout << (held ? "held    " : "FAILED  ") << what << '\n';
    return held;
  };
  bool all = say("registers: identified, descriptors executed, none refused", peer.up);
  all &= say("ARP request answered", peer.arp);
  all &= say("ICMP echo answered", peer.echo);
  all &= say("SYN answered by SYN-ACK", peer.syn_ack);
  all &= say("its commit record lay in memory before the SYN-ACK left", peer.committed);
  std::cout << (all ? "verdict: the adapter works in this platform" : "verdict: it does not work") << '\n';
  return all ? 0 : 1;
}

int main(int argc, char** argv) {
  setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 1);
  return sc_core::sc_elab_and_sim(argc, argv);
}
