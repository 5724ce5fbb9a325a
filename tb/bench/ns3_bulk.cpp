// The same transfer on ns-3: two hosts, one wire of 10 Gb/s and 5 us, full-sized segments, nothing recorded.
//
//   ns3_bulk CONNECTIONS BYTES     prints one line: frames, seconds of wall clock, bytes delivered
//
// A frame is what it is for the model: a packet that a host puts on its wire, data and ACKs alike, counted
// once.
#include <ns3/applications-module.h>
#include <ns3/core-module.h>
#include <ns3/internet-module.h>
#include <ns3/network-module.h>
#include <ns3/point-to-point-module.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>

namespace {

std::uint64_t frames = 0;
std::uint64_t delivered = 0;

void frame_sent(ns3::Ptr<const ns3::Packet>) {
  ++frames;
}
void bytes_arrived(ns3::Ptr<const ns3::Packet> p, const ns3::Address&) {
  delivered += p->GetSize();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: ns3_bulk CONNECTIONS BYTES\n";
    return 2;
  }
  const auto connections = static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10));
  const std::uint64_t bytes = std::strtoull(argv[2], nullptr, 10);
  using namespace ns3;
  Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
  Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(1 << 20));
  Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(1 << 20));

  NodeContainer hosts;
  hosts.Create(2);
  PointToPointHelper wire;
  wire.SetDeviceAttribute("DataRate", StringValue("10Gbps"));
  wire.SetChannelAttribute("Delay", StringValue("5us"));
  const NetDeviceContainer devices = wire.Install(hosts);
  InternetStackHelper().Install(hosts);
  Ipv4AddressHelper addresses;
  addresses.SetBase("10.0.0.0", "255.255.255.0");
  const Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
  for (std::uint32_t i = 0; i < devices.GetN(); ++i)
    devices.Get(i)->TraceConnectWithoutContext("PhyTxBegin", MakeCallback(&frame_sent));

  for (std::uint16_t i = 0; i < connections; ++i) {
    const auto port = static_cast<std::uint16_t>(5000 + i);
    PacketSinkHelper sink("ns3::TcpSocketFactory", InetSocketAddress(Ipv4Address::GetAny(), port));
    sink.Install(hosts.Get(1)).Get(0)->TraceConnectWithoutContext("Rx", MakeCallback(&bytes_arrived));
    BulkSendHelper source("ns3::TcpSocketFactory", InetSocketAddress(interfaces.GetAddress(1), port));
    source.SetAttribute("MaxBytes", UintegerValue(bytes));
    source.SetAttribute("SendSize", UintegerValue(65536));
    source.Install(hosts.Get(0));
  }
  const auto begin = std::chrono::steady_clock::now();
  Simulator::Run();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Simulator::Destroy();
  std::cout << frames << ' ' << wall << ' ' << delivered << '\n';
  return delivered == bytes * connections ? 0 : 1;
}
