"""Prefect's page in a browser, as a person opens it: the password first, then what there is.

    page.py ADDRESS [PATH WORD FILE]…

Of each PATH below the address a picture is put into FILE, once WORD stands in the page.
PREFECT_API_AUTH_STRING is typed where the page asks for it; without it nobody is asked.
"""

import os
import sys
import time

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 60


def main(address, views):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # Root has no sandbox; a picture has no scroll bars.
    for option in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{option}")
    browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    # The window's frame is not in the picture.
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False})

    def until(what, holds):
        try:
            WebDriverWait(browser, SECONDS).until(holds)
        except TimeoutException:
            browser.save_screenshot("failed.png")
            text = browser.find_element(By.TAG_NAME, "body").text
            raise SystemExit(f"{what}: not within {SECONDS} s; {browser.current_url} shows:\n{text[:2000]}") from None

    try:
        if password := os.environ.get("PREFECT_API_AUTH_STRING"):
            browser.get(address)
            until("the page asks for the password", lambda it: it.find_elements(By.CSS_SELECTOR, "input[type=password]"))
            if "daily-orders" in browser.page_source:
                raise SystemExit("the runs are shown before the password")
            field = browser.find_element(By.CSS_SELECTOR, "input[type=password]")
            field.send_keys(password)
            field.submit()
            until("the password lets in", lambda it: "/login" not in it.current_url)
        for path, word, file in zip(*[iter(views)] * 3):
            browser.get(f"{address}{path}")
            until(f"{path} shows {word}", lambda it: word in it.find_element(By.TAG_NAME, "body").text)
            # Charts and letters come to rest.
            time.sleep(2)
            browser.save_screenshot(file)
            text = browser.find_element(By.TAG_NAME, "body").text
            print(f"--- {path}\n{text}")
    finally:
        browser.quit()


main(sys.argv[1].rstrip("/"), sys.argv[2:])
