#include "tb/workload/capture.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "tb/workload/capture_file.h"
#include "tb/workload/reassembly.h"

namespace understudy::tb {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw capture_error(fmt::format("{}: {}", path, what));
}

void count_flows(const std::vector<flow>& flows, capture_summary& s) {
  s.flows = flows.size();
  for (const flow& f : flows) {
    s.bytes_to_server += f.stream_of(flow_direction::client_to_server).size();
    s.bytes_to_client += f.stream_of(flow_direction::server_to_client).size();
    s.cut_flows += f.was_cut;
    s.without_syn += !f.had_syn;
    s.without_fin += !f.had_fin;
    s.ipv6_flows += f.was_ipv6;
    s.vlan_flows += f.had_vlan;
  }
}

}  // namespace

capture read_capture(const std::string& path) {
  const pcap_handle p = open_capture(path);
  const int link_type = pcap_datalink(p.get());
  if (!link_type_supported(link_type)) {
    const char* name = pcap_datalink_val_to_description(link_type);
    fail(path, fmt::format("link type {} ({}) is not supported", link_type, name ? name : "unknown"));
  }

  capture result;
  capture_summary& sum = result.summary;
  flow_table table;
  std::int64_t first_ns = 0;
  picos at = 0;
  pcap_pkthdr* header = nullptr;
  const unsigned char* data = nullptr;
  int got = 0;
  while ((got = pcap_next_ex(p.get(), &header, &data)) == 1) {
    // With nanosecond precision tv_usec holds nanoseconds.
    const std::int64_t ns = std::int64_t{header->ts.tv_sec} * 1'000'000'000 + header->ts.tv_usec;
    if (sum.packets++ == 0) first_ns = ns;
    at = std::max(at, ns > first_ns ? static_cast<picos>(ns - first_ns) * 1000 : picos{0});
    captured_segment segment;
    switch (find_segment(link_type, {data, header->caplen}, header->len, segment)) {
      case segment_verdict::tcp:
        ++sum.tcp_packets;
        table.take(segment, at);
        break;
      case segment_verdict::not_ip:
        ++sum.not_ip;
        break;
      case segment_verdict::not_tcp:
        ++sum.not_tcp;
        break;
      case segment_verdict::fragment:
        ++sum.fragments;
        break;
      case segment_verdict::malformed:
        ++sum.malformed;
        break;
    }
  }
  if (got == PCAP_ERROR) {
    const char* why = pcap_geterr(p.get());
    fail(path, fmt::format("the capture is {} after packet {}: {}",
                           std::strstr(why, "truncated") ? "truncated" : "damaged", sum.packets, why));
  }
  if (sum.packets == 0) fail(path, "the capture holds no packet");
  if (sum.tcp_packets == 0) fail(path, fmt::format("no TCP among its {} packets", sum.packets));

  flow_table::result flows = table.finish();
  sum.skipped_no_payload = flows.skipped_no_payload;
  sum.skipped_cut = flows.skipped_cut;
  if (flows.flows.empty()) fail(path, fmt::format("no TCP payload in its {} TCP packets", sum.tcp_packets));
  result.flows = std::move(flows.flows);
  count_flows(result.flows, sum);
  return result;
}

std::string describe(const capture_summary& s) {
  std::string text =
      fmt::format("{} flows, {} bytes to servers, {} bytes to clients, from {} TCP packets of {}\n", s.flows,
                  s.bytes_to_server, s.bytes_to_client, s.tcp_packets, s.packets);
  const auto remark = [&](std::uint64_t count, const char* what) {
    if (count > 0) text += fmt::format("{} {}\n", count, what);
  };
  remark(s.skipped_no_payload, "connections skipped: no payload");
  remark(s.skipped_cut, "connections skipped: the start of their payload is missing from the capture");
  remark(s.cut_flows, "flows end early: bytes are missing from the capture");
  remark(s.without_syn, "flows begin in their middle: no SYN");
  remark(s.without_fin, "flows have no FIN: both sides close after the last byte");
  remark(s.ipv6_flows, "flows are IPv6");
  remark(s.vlan_flows, "flows lose their VLAN tags");
  remark(s.not_ip, "packets left out: not IP");
  remark(s.not_tcp, "packets left out: not TCP");
  remark(s.fragments, "packets left out: IP fragments");
  remark(s.malformed, "packets left out: malformed headers");
  return text;
}

}  // namespace understudy::tb
