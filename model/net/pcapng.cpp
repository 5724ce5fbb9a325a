#include "model/net/pcapng.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace understudy {
namespace {

constexpr std::uint32_t section_header = 0x0a0d0d0a;
constexpr std::uint32_t interface_description = 1;
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::size_t file_buffer = 1 << 20;

std::uint16_t text_length(std::size_t n) {
  return static_cast<std::uint16_t>(n > 0xffff ? 0xffff : n);
}

}  // namespace

pcapng_writer::pcapng_writer(std::string path, const std::string& hardware, const std::string& application)
    : path_(std::move(path)), temporary_(path_ + ".partial") {
  file_ = std::fopen(temporary_.c_str(), "wb");
  if (!file_) fail("open");
  std::setvbuf(file_, nullptr, _IOFBF, file_buffer);
  block_.reserve(16384);
  try {
    begin_block(section_header);
    put32(0x1a2b3c4d);
    put32(1);  // version 1.0: major in the lower half
    put32(0xffffffff);
    put32(0xffffffff);  // length of the section: not stated
    if (!hardware.empty()) option(2, hardware.data(), text_length(hardware.size()));
    if (!application.empty()) option(4, application.data(), text_length(application.size()));
    end_block();
  } catch (...) {
    discard();
    throw;
  }
}

pcapng_writer::~pcapng_writer() {
  discard();
}

unsigned pcapng_writer::add_interface(const std::string& name, bits_per_second rate, unsigned link_type) {
  begin_block(interface_description);
  put32(link_type);
  put32(0);  // no limit on a packet's bytes
  option(2, name.data(), text_length(name.size()));
  if (rate) option(8, &rate, sizeof rate);
  const std::uint8_t nanoseconds = 9;
  option(9, &nanoseconds, 1);
  end_block();
  return interfaces_++;
}

void pcapng_writer::frame(picos at, unsigned interface, bool outbound, const frame_ref& f,
                          const char* comment) {
  write_packet(at, interface, outbound, f.bytes(), f.size(), comment);
}

void pcapng_writer::packet(picos at, unsigned interface, bool outbound, std::span<const std::uint8_t> bytes,
                           std::uint32_t length) {
  write_packet(at, interface, outbound, bytes, length, nullptr);
}

void pcapng_writer::write_packet(picos at, unsigned interface, bool outbound,
                                 std::span<const std::uint8_t> bytes, std::uint32_t length,
                                 const char* comment) {
  const std::uint64_t ns = at / 1000;
  begin_block(enhanced_packet);
  put32(interface);
  put32(static_cast<std::uint32_t>(ns >> 32));
  put32(static_cast<std::uint32_t>(ns));
  put32(static_cast<std::uint32_t>(bytes.size()));
  put32(length);
  put(bytes.data(), bytes.size());
  if (comment) option(1, comment, text_length(std::strlen(comment)));
  const std::uint32_t flags = outbound ? 2 : 1;
  option(2, &flags, sizeof flags);
  end_block();
  ++frames_;
}

void pcapng_writer::close() {
  std::FILE* f = file_;
  if (!f) return;
  if (std::fflush(f) != 0) fail("write");
  file_ = nullptr;
  if (std::fclose(f) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int cause = errno;
    std::remove(temporary_.c_str());
    errno = cause;
    fail("finish");
  }
}

void pcapng_writer::discard() {
  if (!file_) return;
  std::fclose(file_);
  file_ = nullptr;
  std::remove(temporary_.c_str());
}

void pcapng_writer::begin_block(std::uint32_t type) {
  block_.clear();
  has_options_ = false;
  put32(type);
  put32(0);
}

void pcapng_writer::option(std::uint16_t code, const void* value, std::uint16_t length) {
  has_options_ = true;
  put32(static_cast<std::uint32_t>(length) << 16 | code);
  put(value, length);
}

void pcapng_writer::end_block() {
  if (has_options_) put32(0);
  const auto length = static_cast<std::uint32_t>(block_.size() + 4);
  put32(length);
  std::memcpy(block_.data() + 4, &length, 4);
  if (!file_) {
    errno = EBADF;
    fail("write");
  }
  if (std::fwrite(block_.data(), 1, block_.size(), file_) != block_.size()) fail("write");
}

void pcapng_writer::put32(std::uint32_t v) {
  put(&v, 4);
}

void pcapng_writer::put(const void* data, std::size_t length) {
  const auto* p = static_cast<const std::uint8_t*>(data);
  block_.insert(block_.end(), p, p + length);
  block_.resize((block_.size() + 3) & ~std::size_t{3});
}

void pcapng_writer::fail(const char* action) const {
  throw std::system_error(errno, std::generic_category(),
                          "cannot " + std::string(action) + " capture " + path_);
}

}  // namespace understudy
