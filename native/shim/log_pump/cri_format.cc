#include "shim/log_pump/cri_format.h"

#include <string.h>

namespace berth {
namespace {

void put_digits(char* at, int64_t value, int count) {
  for (int i = count - 1; i >= 0; i--) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// Days since 1970 to a civil date, for years after 1970 (proleptic Gregorian, eras of 400 years).
void put_date(char* at, int64_t days) {
  const int64_t shifted = days + 719468;  // days since 0000-03-01
  const int64_t era = shifted / 146097;
  const int64_t day_of_era = shifted % 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t march_month = (5 * day_of_year + 2) / 153;
  const int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  put_digits(at, era * 400 + year_of_era + (month <= 2 ? 1 : 0), 4);
  put_digits(at + 5, month, 2);
  put_digits(at + 8, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
}

// One record of two pieces (what was carried and what was just read).
size_t put_record(char* out, const RecordPrefix& prefix, char tag, std::string_view first, std::string_view second) {
  char* at = out;
  memcpy(at, prefix.text, kRecordPrefixBytes);
  at[kRecordPrefixBytes - 2] = tag;
  at += kRecordPrefixBytes;
  if (!first.empty()) memcpy(at, first.data(), first.size());
  at += first.size();
  memcpy(at, second.data(), second.size());
  at += second.size();
  *at++ = '\n';
  return static_cast<size_t>(at - out);
}

}  // namespace

RecordPrefix record_prefix(int64_t realtime_ns, std::string_view stream) {
  RecordPrefix prefix;
  memcpy(prefix.text, "0000-00-00T00:00:00.000000000Z stdout F ", kRecordPrefixBytes);
  const int64_t seconds = realtime_ns / 1'000'000'000;
  put_date(prefix.text, seconds / 86400);
  put_digits(prefix.text + 11, seconds % 86400 / 3600, 2);
  put_digits(prefix.text + 14, seconds % 3600 / 60, 2);
  put_digits(prefix.text + 17, seconds % 60, 2);
  put_digits(prefix.text + 20, realtime_ns % 1'000'000'000, 9);
  memcpy(prefix.text + 31, stream.data(), 6);
  return prefix;
}

size_t format_records(Carry& carry, std::string_view& input, const RecordPrefix& prefix, char* out, size_t room) {
  size_t written = 0;
  while (!input.empty()) {
    const std::string_view begun(carry.bytes.data(), carry.size);
    const auto* newline = static_cast<const char*>(memchr(input.data(), '\n', input.size()));
    const size_t line = newline == nullptr ? input.size() : static_cast<size_t>(newline - input.data());
    const size_t fits = kMaxLineBytes - carry.size;
    const bool too_long = line > fits;
    if (newline == nullptr && !too_long) {
      memcpy(carry.bytes.data() + carry.size, input.data(), line);
      carry.size += line;
      input = {};
      break;
    }
    if (room - written < kMaxRecordBytes) break;
    const size_t take = too_long ? fits : line;
    written += put_record(out + written, prefix, too_long ? 'P' : 'F', begun, {input.data(), take});
    carry.size = 0;
    input.remove_prefix(too_long ? take : take + 1);
  }
  return written;
}

size_t format_rest(Carry& carry, const RecordPrefix& prefix, char* out, size_t room) {
  if (carry.size == 0 || room < kMaxRecordBytes) return 0;
  const size_t written = put_record(out, prefix, 'P', {}, {carry.bytes.data(), carry.size});
  carry.size = 0;
  return written;
}

}  // namespace berth
