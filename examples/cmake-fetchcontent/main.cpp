// Uses the fetched package, so that the build proves that it came whole.
#include <iostream>
#include <nlohmann/json.hpp>

int main()
{
    const auto package = nlohmann::json::parse(R"({"name": "examples/nlohmann-json", "visibility": "private"})");
    std::cout << package.at("name").get<std::string>() << ' ' << NLOHMANN_JSON_VERSION_MAJOR << '.'
              << NLOHMANN_JSON_VERSION_MINOR << '.' << NLOHMANN_JSON_VERSION_PATCH << '\n';
}
