/* Templates in templates, from the standard library: thousands of functions, deeply inlined. */
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace shapes {

template <typename T, int N> struct grid {
	std::map<std::string, std::vector<std::tuple<T, int, std::string>>> cells;

	template <typename F> T fold(F f) const
	{
		T sum{};
		for (const auto &[name, items] : cells)
			for (const auto &item : items)
				sum = f(sum, std::get<0>(item) + T(N) + T(name.size()));
		return sum;
	}
};

using value = std::variant<int, double, std::string>;

struct describe {
	std::string operator()(int i) const { return std::to_string(i); }
	std::string operator()(double d) const { return std::to_string(d); }
	std::string operator()(const std::string &s) const { return s; }
};

template <int N> long build(std::ostream &out)
{
	grid<long, N> g;
	for (int i = 0; i < N; i++)
		g.cells[std::to_string(i % 7)].emplace_back(i, i, std::string(i % 5, 'x'));
	std::unordered_map<std::string, std::shared_ptr<std::set<value>>> index;
	for (int i = 0; i < N; i++) {
		auto &set = index[std::to_string(i % 3)];
		if (!set)
			set = std::make_shared<std::set<value>>();
		set->insert(i % 2 ? value(i) : value(std::to_string(i)));
	}
	std::vector<std::string> words;
	for (const auto &[key, set] : index)
		for (const auto &v : *set)
			words.push_back(key + std::visit(describe{}, v));
	std::stable_sort(words.begin(), words.end(),
			 [](const auto &a, const auto &b) { return a.size() < b.size() || a < b; });
	std::regex pattern("([0-9]+)x*" + std::to_string(N % 3));
	long hits = std::count_if(words.begin(), words.end(),
				  [&](const auto &w) { return std::regex_search(w, pattern); });
	std::function<long(long, long)> add = [](long a, long b) { return a + b; };
	long sum = g.fold(add);
	if (sum < 0)
		throw std::runtime_error("negative");
	out << words.size() << '\n';
	return sum + hits;
}

template <int... N> long build_all(std::ostream &out, std::integer_sequence<int, N...>)
{
	return (build<N + 1>(out) + ...);
}

} // namespace shapes

int main()
{
	std::ostringstream out;
	std::cout << shapes::build_all(out, std::make_integer_sequence<int, 24>{}) << '\n';
}
