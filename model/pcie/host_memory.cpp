#include "model/pcie/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace understudy {

namespace {
// Null: refused.
std::uint8_t* reserve(std::uint64_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(p);
}

std::system_error refused(std::uint64_t bytes) {
  return {errno, std::generic_category(),
          "host memory: cannot reserve " + std::to_string(bytes) + " bytes of address space"};
}
}  // namespace

host_memory::host_memory(std::uint64_t bytes) : memory_(reserve(bytes)), bytes_(bytes) {
  if (!memory_) throw refused(bytes);
}

host_memory::host_memory() : memory_(reserve(default_bytes)), bytes_(default_bytes) {
  while (!memory_ && bytes_ > least_bytes) memory_ = reserve(bytes_ /= 2);
  if (!memory_) throw refused(bytes_);
}

host_memory::~host_memory() {
  munmap(memory_, bytes_);
}

host_memory::region host_memory::allocate(std::size_t bytes, std::size_t align) {
  if (auto same_size = free_.find(bytes); same_size != free_.end()) {
    auto& offsets = same_size->second;
    const auto fit =
        std::find_if(offsets.rbegin(), offsets.rend(), [&](std::uint64_t o) { return o % align == 0; });
    if (fit != offsets.rend()) {
      const std::uint64_t offset = *fit;
      offsets.erase(std::next(fit).base());
      live_[offset] = bytes;
      std::memset(memory_ + offset, 0, bytes);
      return {memory_ + offset, base_address + offset};
    }
  }
  const std::uint64_t offset = (used_ + align - 1) / align * align;
  if (offset > bytes_ || bytes > bytes_ - offset) return {};
  used_ = offset + bytes;
  live_[offset] = bytes;
  return {memory_ + offset, base_address + offset};
}

bool host_memory::release(std::uint64_t iova) {
  const auto found = live_.find(iova - base_address);
  if (found == live_.end()) return false;
  free_[found->second].push_back(found->first);
  live_.erase(found);
  return true;
}

std::uint8_t* host_memory::at(std::uint64_t iova, std::uint64_t len) {
  if (iova < base_address) return nullptr;
  const std::uint64_t offset = iova - base_address;
  if (offset > used_ || len > used_ - offset) return nullptr;
  return memory_ + offset;
}

bool host_memory::read(std::uint64_t iova, void* to, std::size_t len) {
  const std::uint8_t* from = at(iova, len);
  if (from) std::memcpy(to, from, len);
  return from != nullptr;
}

bool host_memory::write(std::uint64_t iova, const void* from, std::size_t len) {
  std::uint8_t* to = at(iova, len);
  if (to) std::memcpy(to, from, len);
  return to != nullptr;
}

}  // namespace understudy
