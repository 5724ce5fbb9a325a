// The events of a run as `-v -v` prints them, read back.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace understudy::tb {

struct event_line {
  std::uint64_t number = 0;
  double us = 0;
  unsigned unit = 0;
  std::string kind;
  std::string rest;
  bool is_segment = false;
  unsigned source_port = 0, destination_port = 0;
  std::uint32_t seq = 0, ack = 0, length = 0;
};

inline std::vector<event_line> read_events(const std::filesystem::path& file) {
  std::vector<event_line> all;
  std::ifstream in(file);
  for (std::string text; std::getline(in, text);) {
    std::istringstream s(text);
    event_line e;
    std::string us, unit, word;
    if (!(s >> e.number >> e.us >> us >> unit >> e.unit >> e.kind) || us != "us" || unit != "unit") continue;
    std::getline(s, e.rest);
    std::istringstream segment(e.rest);
    char arrow = 0;
    if (segment >> e.source_port >> arrow >> e.destination_port && arrow == '>') {
      std::string w;
      e.is_segment = static_cast<bool>(segment >> w >> e.seq >> w >> e.ack >> w >> e.length);
    }
    all.push_back(std::move(e));
  }
  return all;
}

}  // namespace understudy::tb
